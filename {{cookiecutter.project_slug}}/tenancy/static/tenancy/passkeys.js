// Shows what needs passkeys if the browser has them, and says it if none was used.
if (window.PublicKeyCredential) {
  const show = (selector, isShown) => {
    for (const element of document.querySelectorAll(selector)) element.hidden = !isShown;
  };
  show("[data-passkey]", true);
  show("[data-no-passkeys]", false);
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault(); // a person who cancels is no error for the console
    show("[data-passkey-failed]", true);
  });
}

// Suggests an address while the name is typed, and says whether it is free.
const form = document.querySelector("form[data-check]");
const { name, address } = form.elements;
const state = document.getElementById("address-state");
let timer;
let newest = 0;
let isOwn = address.value !== ""; // what the person has typed stays

async function check(query) {
  const number = ++newest;
  try {
    const answer = await fetch(`${form.dataset.check}?${new URLSearchParams(query)}`);
    const found = await answer.json();
    if (number !== newest) return; // a later question is on its way
    if ("name" in query) address.value = found.address;
    state.textContent = found.message;
    state.classList.toggle("errorlist", found.problem !== "");
    address.setAttribute("aria-invalid", String(found.problem !== ""));
  } catch {
    // Without an answer, sending the form tells.
  }
}

function soon(query) {
  clearTimeout(timer);
  timer = setTimeout(check, 300, query);
}

name.addEventListener("input", () => {
  if (!isOwn && name.value.trim()) soon({ name: name.value });
});

// The script may not have asked about the last letters of the name yet; the server knows them.
form.addEventListener("submit", () => {
  if (!isOwn) address.value = "";
});

address.addEventListener("input", () => {
  isOwn = address.value !== "";
  if (isOwn) soon({ address: address.value.toLowerCase() });
  else soon({ name: name.value });
});

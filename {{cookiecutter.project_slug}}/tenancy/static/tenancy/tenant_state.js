// Reloads the state of a tenant while it is being made.
const wait = () => setTimeout(refresh, 500);

async function refresh() {
  try {
    const page = await (await fetch(location.href)).text();
    const state = new DOMParser().parseFromString(page, "text/html").getElementById("state");
    if (!state) return location.reload();
    document.getElementById("state").replaceWith(state);
    if ("pending" in state.dataset) wait();
  } catch {
    wait(); // the server does not answer: try again
  }
}

wait();

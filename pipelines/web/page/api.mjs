// Speaks to the back end. What is not a GET has the token of this page.

const csrf = document.querySelector("meta[name=csrf]").content;

async function answered(response) {
  if (response.ok) return response;
  const text = await response.text();
  let message = text.trim() || `status ${response.status}`;
  try {
    message = JSON.parse(text).error ?? message;
  } catch {
    // Not JSON: the text itself says what is wrong.
  }
  throw new Error(message);
}

export const get = async (path) => (await answered(await fetch(path))).json();

export async function post(path, body, type = "application/json") {
  const headers = { "Content-Type": type, "X-Slipway-CSRF": csrf };
  return answered(await fetch(path, { method: "POST", headers, body }));
}

// Calls `take` with each line of an answer as soon as it is there.
export async function lines(response, take) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) take(JSON.parse(part));
  }
}

// Calls the handlers by the event's name; a connection that is lost is made again by the browser.
export function listen(handlers, connected) {
  const events = new EventSource("/events");
  events.addEventListener("open", () => connected(true));
  events.addEventListener("error", () => connected(false));
  for (const [name, take] of Object.entries(handlers)) {
    events.addEventListener(name, (event) => take(JSON.parse(event.data)));
  }
}

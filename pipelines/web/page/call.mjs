// Shows the call behind an answer, to copy; what is too long to show can be saved as a file.

import { post } from "./api.mjs";
import { element, find } from "./dom.mjs";

const query = ({ server, protocol }, more = {}) => new URLSearchParams({ server, protocol, ...more });

async function save(question, item, name) {
  const response = await post(`/sent?${query(item, { name })}`, question.body, question.type);
  const href = URL.createObjectURL(await response.blob());
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

export async function showCall(question, item) {
  const dialog = find("call");
  const files = find("call-files");
  find("call-title").textContent = `${item.server} over ${item.protocol}`;
  try {
    const shown = await (await post(`/call?${query(item)}`, question.body, question.type)).json();
    find("call-curl").textContent = shown.curl;
    find("call-python").textContent = shown.python;
    files.replaceChildren(...shown.files.flatMap((name) => [
      element("button", { type: "button", onclick: () => save(question, item, name) }, `Save ${name}`), " ",
    ]));
  } catch (error) {
    find("call-curl").textContent = find("call-python").textContent = "";
    files.textContent = error.message;
  }
  dialog.showModal();
}

find("call-close").addEventListener("click", () => find("call").close());
for (const button of document.querySelectorAll("[data-copy]")) {
  const text = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(find(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = text; }, 2_000);
  });
}

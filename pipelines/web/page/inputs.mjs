// Four ways to an input: draw a digit, choose or drop a picture, pick a row of the test data, write a text.

import { makeDrawing } from "./drawing.mjs";
import { element, figures } from "./dom.mjs";

// Each calls `ask(body, type)`; a picture goes as it is, so that the back end decodes it as `slipway predict` does.
export function makeInputs(place, about, ask) {
  if (about.digits) place.append(drawing(about, ask));
  if (about.picture) place.append(picture(about, ask));
  if (about.samples) place.append(sample(about, ask));
  if (about.texts) place.append(texts(ask));
}

const part = (title, ...children) => element("section", { class: "part", "aria-label": title },
  element("h3", {}, title), ...children);

function drawing(about, ask) {
  const surface = makeDrawing(about.picture);
  const send = async () => ask(await surface.picture(), "image/png");
  return part("Draw a digit", surface.canvas,
    element("p", {},
      element("button", { type: "button", class: "main", id: "ask-drawing", onclick: send }, "Ask every server"), " ",
      element("button", { type: "button", onclick: surface.clear }, "Clear")),
    element("p", { class: "note" }, "With the mouse, a finger, or the keyboard: arrows move the pen, Space draws."));
}

function picture(about, ask) {
  const most = about.max_body_bytes;
  const note = element("p", { class: "note", role: "status" }, "PNG or JPEG. It is asked at once.");
  const take = (file) => {
    if (!file) return;
    const tooLarge = file.size > most;
    note.textContent = tooLarge
      ? `${file.name} has ${figures(file.size / 1e6)} MB; at most ${figures(most / 1e6)} are taken.`
      : `${file.name}, ${figures(file.size / 1e3)} kB`;
    if (!tooLarge) ask(file, "application/octet-stream");
  };
  const chosen = element("input", { type: "file", id: "picture", accept: "image/png,image/jpeg",
    onchange: () => { take(chosen.files[0]); chosen.value = ""; } });
  const area = element("div", { class: "drop", id: "drop",
    ondragover: (event) => { event.preventDefault(); area.classList.add("over"); },
    ondragleave: () => area.classList.remove("over"),
    ondrop: (event) => {
      event.preventDefault();
      area.classList.remove("over");
      take(event.dataTransfer.files[0]);
    } },
    element("label", { for: "picture" }, "Drop a picture here, or choose one"), chosen);
  return part("A picture", area, note);
}

function sample(about, ask) {
  const row = element("input", { type: "number", id: "row", min: 0, max: about.samples - 1, value: 0 });
  const send = (event) => {
    event.preventDefault();
    if (row.reportValidity()) ask(JSON.stringify({ row: row.valueAsNumber }));
  };
  const any = () => {
    row.value = Math.floor(Math.random() * about.samples);
    ask(JSON.stringify({ row: row.valueAsNumber }));
  };
  return part("A row of the test data", element("form", { onsubmit: send },
    element("label", { for: "row" }, `Row, 0 to ${about.samples - 1} `), row,
    element("p", {}, element("button", { id: "ask-row", class: "main" }, "Ask every server"), " ",
      element("button", { type: "button", onclick: any }, "Any row"))));
}

function texts(ask) {
  const text = element("textarea", { id: "texts", rows: 3, maxlength: 20000 });
  const send = (event) => {
    event.preventDefault();
    ask(JSON.stringify({ texts: text.value.split("\n").filter((line) => line.trim()) }));
  };
  return part("Texts", element("form", { onsubmit: send },
    element("label", { for: "texts" }, "One a line; of two, the cosine is shown"), text,
    element("p", {}, element("button", { id: "ask-texts", class: "main" }, "Ask every server"))));
}

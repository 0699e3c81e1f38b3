// Load: the form, and the curves of the test under way. What a reload needs comes from the back end.

import { post } from "./api.mjs";
import { element, figures } from "./dom.mjs";
import { draw } from "./plots.mjs";

const EVERY_MS = 500;
const CURVES = [
  { id: "rate", title: "Answers", unit: "per second", parts: [["rate_per_s", "solid"]] },
  { id: "latency", title: "Latency: p50 solid, p99 dotted", unit: "ms", parts: [["p50_ms", "solid"], ["p99_ms", "dot"]] },
  { id: "errors", title: "Errors so far", unit: "requests", parts: [["errors", "solid"]] },
];

export function makeLoad(place, about) {
  let now = null;
  let calls = new Map();
  let due = false;

  const choices = element("ul", {});
  const scenario = element("select", { id: "scenario" },
    ...about.scenarios.map((name) => element("option", { selected: name === "server" }, name)));
  const rate = element("input", { type: "number", id: "rate", min: 1, max: 100000, value: about.rate_per_s });
  const seconds = element("input", { type: "number", id: "seconds", min: 1, max: 60, value: 5 });
  const go = element("button", { class: "main", id: "load-start" }, "Start");
  const halt = element("button", { type: "button", id: "load-stop", disabled: true, onclick: () => send("/load/stop") }, "Stop");
  const status = element("p", { id: "load-status", class: "note", role: "status" }, "");
  const legend = element("div", { class: "legend" });
  const table = element("div", { class: "box", tabindex: 0, role: "region", "aria-label": "Newest figures", hidden: true });
  const plots = element("div", { class: "curves", hidden: true }, ...CURVES.map(({ id, title }) =>
    element("figure", { id: `curve-${id}` }, element("figcaption", {}, element("h3", {}, title)),
      element("div", { class: "plot", role: "img", "aria-label": `${title} over time; the table above has the newest figures` }))));

  const field = (label, input) => element("label", { for: input.id }, `${label} `, input);
  const form = element("form", { onsubmit: (event) => { event.preventDefault(); start(); } },
    element("fieldset", { class: "picks" }, element("legend", {}, "Servers"),
      element("p", {}, "They are tested one after another."), choices),
    element("p", { class: "filters" }, field("Scenario", scenario), field("Requests a second, of the server scenario", rate),
      field("Seconds each", seconds)),
    element("p", {}, go, " ", halt));
  place.replaceChildren(form, status, table, legend, plots);

  async function send(path, body = {}) {
    try {
      await post(path, JSON.stringify(body));
    } catch (error) {
      status.textContent = error.message;
    }
  }

  function start() {
    const chosen = [...choices.querySelectorAll(":checked")].map((box) => [box.dataset.server, box.dataset.protocol]);
    if (!chosen.length) status.textContent = "Choose a server.";
    else send("/load", { calls: chosen, scenario: scenario.value, rate: rate.valueAsNumber, seconds: seconds.valueAsNumber });
  }

  function show() {
    const active = now && (now.state === "running" || now.state === "stopping");
    go.disabled = Boolean(active);
    halt.disabled = now?.state !== "running";
    place.dataset.state = now?.state ?? "none";
    if (!now) return;
    plots.hidden = false;
    const words = { running: "A test runs.", stopping: "The test is ending.", done: "The test has ended. ", failed: now.reason };
    status.replaceChildren(words[now.state]);
    if (now.report) status.append(element("a", { href: now.report }, "Its report"));
    redraw();
  }

  function redraw() {
    if (due) return;
    due = true;
    setTimeout(paint, EVERY_MS);
  }

  async function paint() {
    due = false;
    const groups = now.order.calls.map(([server, protocol], index) => ({
      name: `${server} ${protocol}`,
      colour: index,
      points: now.points.filter((one) => one.server === server && one.protocol === protocol),
    }));
    legend.replaceChildren(...groups.map((group) => element("span", {},
      element("i", { class: `swatch line c${group.colour % 20}` }), group.name)));
    table.hidden = !now.points.length;
    table.replaceChildren(figuresOf(groups));
    place.dataset.points = now.points.length;
    for (const { id, title, unit, parts } of CURVES) {
      const lines = groups.flatMap((group) => parts.map(([part, dash]) => ({
        name: group.name, colour: group.colour, dash,
        x: group.points.map((one) => one.at_s), y: group.points.map((one) => one[part]),
      })));
      await draw(plots.querySelector(`#curve-${id} .plot`), { title, unit, lines, marks: now.marks });
    }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (now) redraw(); });

  return {
    servers(servers) {
      const known = new Map(servers.flatMap(({ name, urls }) =>
        Object.keys(urls).map((protocol) => [`${name} ${protocol}`, { server: name, protocol }])));
      if ([...known.keys()].join() === [...calls.keys()].join()) return;
      const checked = new Set([...choices.querySelectorAll(":checked")].map((box) => box.value));
      const first = !calls.size;
      calls = known;
      choices.replaceChildren(...[...known].map(([value, { server, protocol }], index) =>
        element("li", {}, element("label", {}, element("input", { type: "checkbox", value, "data-server": server,
          "data-protocol": protocol, checked: checked.has(value) || (first && index === 0) }), value))));
    },
    load(state) { now = state; show(); },
    point(point) { if (now) { now.points.push(point); redraw(); } },
    mark(mark) { if (now) { now.marks.push(mark); redraw(); } },
  };
}

function figuresOf(groups) {
  const row = ({ name, points }) => {
    const last = points.at(-1);
    const cells = last ? [last.rate_per_s, last.p50_ms, last.p99_ms, last.answered, last.errors, last.in_flight] : [];
    return element("tr", {}, element("th", { scope: "row" }, name),
      ...cells.map((value) => element("td", { class: "num" }, figures(value))));
  };
  const heads = ["tested", "answers/s", "p50 ms", "p99 ms", "answered", "errors", "in flight"];
  return element("table", { id: "figures" }, element("caption", {}, "The newest figures: those of the last second, for display only."),
    element("thead", {}, element("tr", {}, ...heads.map((text, index) => element("th", { scope: "col", class: index ? "num" : "" }, text)))),
    element("tbody", {}, ...groups.filter(({ points }) => points.length).map(row)));
}

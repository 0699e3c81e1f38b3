// A card for each server: its state, what it serves, where it listens.

import { element, figures, find, small } from "./dom.mjs";

const STYLES = { ready: "ok", "not ready": "skipped", dead: "failed", unknown: "skipped" };

function facts(server) {
  const { sqnr_db: ratio, max_abs: largest } = server.certificate;
  const verified = ratio == null ? "equal to the reference" : `${figures(ratio)} dB, at most ${small(largest)} off`;
  const pairs = [
    ["model", server.versions.length ? `${server.model}, version ${server.versions.join(", ")}` : server.model],
    ["artifact", `${server.artifact}, ${figures(server.size_bytes / 1e6)} MB`],
    ["certificate", verified],
    ...(server.replicas.length ? [["replicas", `${server.replicas.length}: ${server.replicas.join(", ")}`]] : []),
    ...Object.entries(server.urls),
  ];
  return element("dl", {}, ...pairs.flatMap(([name, value]) => [
    element("dt", {}, name), element("dd", { class: "mono" }, value),
  ]));
}

function card(server, extra) {
  return element("li", { class: `card ${STYLES[server.state]}`, "data-server": server.name, "data-state": server.state },
    element("h3", {}, server.name, " ", element("span", { class: `status ${STYLES[server.state]}` }, server.state)),
    element("p", { class: "note" }, server.title),
    server.why ? element("p", { class: "why" }, server.why) : null,
    facts(server),
    extra(server));
}

const states = new Map();

// Says which states have changed, for those who do not see the cards.
function news(servers) {
  const changed = servers.filter(({ name, state }) => states.has(name) && states.get(name) !== state);
  if (changed.length) find("news").textContent = changed.map(({ name, state }) => `${name} ${state}`).join(", ");
  for (const { name, state } of servers) states.set(name, state);
}

// `extra` makes what else a card has, such as its buttons.
export function showCards(place, servers, extra = () => null) {
  news(servers);
  const focused = document.activeElement?.closest?.("[data-server]")?.dataset.server;
  const label = document.activeElement?.textContent;
  place.replaceChildren(...servers.map((server) => card(server, extra)));
  if (!focused) return;
  const again = [...place.querySelectorAll(`[data-server="${CSS.escape(focused)}"] button`)];
  again.find((button) => button.textContent === label)?.focus();
}

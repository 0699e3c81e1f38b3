// The buttons of a server that was started for the page, where `--allow-control` allows them.

import { post } from "./api.mjs";
import { element, find } from "./dom.mjs";

const ACTIONS = {
  kill: ["Kill", "danger", "is being killed"],
  replica: ["Add a replica", "", "gets a replica"],
  rollout: ["Roll out what is packaged", "", "gets what is packaged now"],
};

async function act(action, server, words) {
  const news = find("news");
  news.textContent = `${server} ${words} ...`;
  try {
    news.textContent = (await (await post("/control", JSON.stringify({ action, server }))).json()).done;
  } catch (error) {
    news.textContent = error.message;
  }
}

export const makeControls = (about) => (server) => (about.control && server.ours
  ? element("p", { class: "actions" }, ...Object.entries(ACTIONS).map(([action, [label, style, words]]) =>
    element("button", { type: "button", class: style, disabled: action === "kill" && server.state === "dead",
      "aria-label": `${label}: ${server.name}`, onclick: () => act(action, server.name, words) }, label)))
  : null);

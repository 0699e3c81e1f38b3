// Starts the page: what it is about, then what happens.

import { get, listen } from "./api.mjs";
import { showCards } from "./cards.mjs";
import { element, find } from "./dom.mjs";
import { makeInputs } from "./inputs.mjs";
import { makeTrial } from "./trial.mjs";

if (location.search) history.replaceState(null, "", `/${location.hash}`); // the token is in the cookie now

const about = await get("/about");
const names = { report: "Latest report", claims: "The claims" };
find("links").append(
  ...Object.entries(about.links).map(([name, href]) => element("a", { href }, names[name])),
);
makeInputs(find("inputs"), about, makeTrial());
listen(
  { servers: (servers) => showCards(find("cards"), servers) },
  (connected) => { find("lost").hidden = connected; },
);
document.documentElement.dataset.ready = "";

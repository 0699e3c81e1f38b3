// Starts the page: what it is about, then what happens.

import { get, listen } from "./api.mjs";
import { showCards } from "./cards.mjs";
import { makeControls } from "./control.mjs";
import { element, find } from "./dom.mjs";
import { makeInputs } from "./inputs.mjs";
import { makeLoad } from "./load.mjs";
import { makeTrial } from "./trial.mjs";

if (location.search) history.replaceState(null, "", `/${location.hash}`); // the token is in the cookie now

const about = await get("/about");
const names = { report: "Latest report", claims: "The claims", prometheus: "Prometheus" };
find("links").append(
  ...Object.entries(about.links).map(([name, href]) => element("a", { href }, names[name])),
);
makeInputs(find("inputs"), about, makeTrial(about));
const controls = makeControls(about);
const load = makeLoad(find("load-part"), about);
listen(
  {
    servers(servers) {
      showCards(find("cards"), servers, controls);
      load.servers(servers);
    },
    load: load.load,
    point: load.point,
    mark: load.mark,
  },
  (connected) => { find("lost").hidden = connected; },
);
document.documentElement.dataset.ready = "";
performance.mark("ready");

// Asks with one input, and shows the answers side by side as they come.

import { lines, post } from "./api.mjs";
import { showCall } from "./call.mjs";
import { bytes, element, figures, find, small } from "./dom.mjs";
import { makeRuntimes } from "./runtimes.mjs";
import { showSeen } from "./seen.mjs";

const VERDICTS = { within: ["ok", "within"], outside: ["skipped", "outside, same answer"], differs: ["failed", "another answer"] };

// Asks all servers, then the models in this browser: by themselves, so that a server's work is not in their times.
export function makeTrial(about) {
  const runtimes = makeRuntimes(about.in_browser);
  let number = 0;
  return async (body, type = "application/json") => {
    const mine = number += 1;
    const question = { body, type };
    const table = makeTable(question);
    const take = (item) => { if (mine === number) table[item.kind]?.(item); };
    try {
      await lines(await post("/ask", body, type), take);
      await runtimes(question, take, () => mine === number);
      take({ kind: "end" });
    } catch (error) {
      if (mine === number) table.failed(error);
    }
  };
}

function makeTable(question) {
  const body = find("answers").tBodies[0];
  const rows = new Map();
  const key = ({ server, protocol }) => `${server}\n${protocol}`;
  body.replaceChildren();
  find("given").textContent = "Asking ...";
  find("warnings").replaceChildren();

  const cells = (row, first, ...rest) => row.replaceChildren(element("th", { scope: "row" }, ...first), ...rest);
  const number = (text) => element("td", { class: "num" }, text);
  const asked = ({ server, protocol }) => [element("b", {}, server), element("span", {}, protocol)];

  return {
    input(item) {
      const truth = item.truth == null ? "" : ` (truth: ${item.truth})`;
      find("given").textContent = `${item.title}${truth}`;
      find("warnings").replaceChildren(...item.warnings.map((text) => element("li", {}, text)));
      showSeen(find("seen"), item);
      const reference = element("tr", { class: "reference" });
      cells(reference, [element("b", {}, "reference")], element("td", { colspan: 8, class: "empty" }, "..."));
      rows.set("reference", reference);
      body.prepend(reference);
      this.calls(item);
    },
    calls(item) {
      for (const call of item.calls) {
        const row = element("tr", { "data-server": call.server, "data-protocol": call.protocol });
        cells(row, asked(call), element("td", { colspan: 8, class: "empty" }, "..."));
        rows.set(key(call), row);
        body.append(row);
      }
    },
    reference(item) {
      const row = rows.get("reference");
      row.dataset.status = item.status;
      if (item.status !== "ok") {
        cells(row, [element("b", {}, "reference")], element("td", { colspan: 8, class: "wrap" }, item.reason));
        return;
      }
      cells(row, [element("b", {}, "reference"), element("span", {}, "the framework that trained it")],
        ...answer(item), ...Array.from({ length: 6 }, () => element("td", {}, "")));
    },
    answer(item) {
      const row = rows.get(key(item));
      row.dataset.status = item.status;
      row.dataset.label = item.labels?.[0]?.label ?? "";
      const again = item.times ? element("span", { class: "times" }, item.times)
        : element("button", { type: "button", "aria-label": `curl, Python: the call of ${item.server} over ${item.protocol}`,
          onclick: () => showCall(question, item) }, "curl, Python");
      if (item.status !== "ok") {
        cells(row, asked(item), element("td", { colspan: 7, class: "wrap" },
          element("span", { class: "status failed" }, "failed"), " ", item.reason), element("td", {}, again));
        return;
      }
      const [style, words] = VERDICTS[item.verdict] ?? ["skipped", "no reference"];
      row.dataset.verdict = item.verdict ?? "";
      cells(row, asked(item), ...answer(item), number(figures(item.latency_ms)), number(figures(item.page_ms)),
        number(bytes(item.sent_bytes)), number(bytes(item.received_bytes)),
        element("td", {}, element("span", { class: `status ${style}` }, words), " ",
          item.max_abs == null ? "" : small(item.max_abs)),
        element("td", {}, again));
    },
    failed(error) {
      find("given").textContent = error.message;
      if (!rows.size) body.replaceChildren(element("tr", {}, element("td", { colspan: 9, class: "empty" }, "No answers.")));
    },
    end() { find("answers").dataset.done = Number(find("answers").dataset.done ?? 0) + 1; },
  };
}

// The cells of an answer: the first label, and all of them with their shares.
function answer(item) {
  if (!item.labels.length) return [element("td", { colspan: 2, class: "wrap" }, item.answer ?? "")];
  const [first] = item.labels;
  const list = item.labels.map(({ label, probability }) => element("li", {},
    element("span", { class: "share" }, `${(100 * probability).toFixed(1)}%`), " ", label));
  return [element("td", { class: "first" }, first.label), element("td", {}, element("ol", { class: "top" }, ...list))];
}

// Runs packaged models in this very browser: each in a frame, which loads its payload as a site would.

import { post } from "./api.mjs";
import { bytes, element, figures } from "./dom.mjs";

const ARRAYS = { float32: "Float32Array", int64: "BigInt64Array", int32: "Int32Array" };
const HERE = "in this browser";
const STEADY_MS = 300, MOST_RUNS = 20, MOST_THREADS = 4;

// The time in which at least one of the intervals [from, to] was open; they are sorted by `from`.
export function covered(intervals) {
  let sum = 0, end = -Infinity;
  for (const [from, to] of intervals) {
    sum += Math.max(0, to - Math.max(from, end));
    end = Math.max(end, to);
  }
  return sum;
}

const median = (values) => [...values].sort((one, other) => one - other)[values.length >> 1];

// The arrays are made in the frame: its libraries take no others for typed arrays.
function unpack(frame, { dtype, shape, data }) {
  const raw = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  return { dtype, shape, data: new frame[ARRAYS[dtype]](new frame.Uint8Array(raw).buffer) };
}

function pack({ dtype, shape, data }) {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let text = "";
  for (let at = 0; at < raw.length; at += 8192) text += String.fromCharCode(...raw.subarray(at, at + 8192));
  return { dtype, shape: [...shape], data: btoa(text) };
}

const each = (arrays, change) => Object.fromEntries(Object.entries(arrays).map(([name, one]) => [name, change(one)]));

async function load({ name, title }) {
  const threads = Math.max(1, Math.min(MOST_THREADS, navigator.hardwareConcurrency >> 1));
  const frame = element("iframe", { class: "runtime", title: `${title}, which computes ${HERE}`, tabindex: -1,
    "aria-hidden": "true", src: `/in-browser/${encodeURIComponent(name)}/index.html?threads=${threads}` });
  const ready = new Promise((resolve) => { frame.addEventListener("load", resolve, { once: true }); });
  document.body.append(frame);
  await ready;
  const { contentWindow: page } = frame;
  let model;
  try {
    model = await page.model;
  } catch (error) {
    frame.remove(); // the next question loads it anew
    throw error;
  }
  if (!model) throw new Error(`${name} is not there: see the log of slipway web`);
  const files = ["navigation", "resource"].flatMap((kind) => page.performance.getEntriesByType(kind));
  const download = covered(files.map(({ startTime, responseEnd }) => [startTime, responseEnd]));
  return {
    page,
    model,
    download,
    load: page.performance.getEntriesByName("model loaded")[0].startTime - download,
    size: files.reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0),
  };
}

async function ask(name, loaded, inputs) {
  const { page, model } = loaded;
  const arrays = each(inputs, (one) => unpack(page, one)), times = [];
  const run = async () => {
    const begun = page.performance.now();
    const outputs = await model.predict(arrays);
    times.push(page.performance.now() - begun);
    return outputs;
  };
  if (loaded.first === undefined) {
    await run();
    loaded.first = times.pop();
  }
  const end = page.performance.now() + STEADY_MS;
  let outputs;
  do outputs = await run(); while (times.length < MOST_RUNS && page.performance.now() < end);
  const body = JSON.stringify({ name, inputs, outputs: each(outputs, pack) });
  const ms = (value) => `${figures(value, 2)} ms`;
  return {
    ...await (await post("/judge", body)).json(),
    status: "ok",
    latency_ms: median(times),
    received_bytes: loaded.size,
    times: `download ${ms(loaded.download)} (${bytes(loaded.size)}), load ${ms(loaded.load)}, first run ${ms(loaded.first)}`,
  };
}

// A function that asks every one of `runtimes` with a question, and gives `take` the answers; `wanted` tells if the
// question is still the last one. Each runtime is loaded once, at the first question.
export function makeRuntimes(runtimes) {
  const pages = new Map();
  let before = Promise.resolve();

  async function askAll({ body, type }, take, wanted) {
    if (!wanted()) return;
    take({ kind: "calls", calls: runtimes.map(({ name }) => ({ server: name, protocol: HERE })) });
    const inputs = await (await post("/inputs", body, type)).json();
    for (const runtime of runtimes) {
      const item = { kind: "answer", server: runtime.name, protocol: HERE, times: HERE };
      try {
        if (!pages.has(runtime.name)) pages.set(runtime.name, await load(runtime));
        if (!wanted()) return;
        take({ ...item, ...await ask(runtime.name, pages.get(runtime.name), inputs) });
      } catch (error) {
        take({ ...item, status: "failed", reason: error.message ?? String(error) });
      }
      if (!wanted()) return;
    }
  }

  // One question after the other: the runs of one must not be in the times of the next.
  return async (question, take, wanted) => {
    if (!runtimes.length) return;
    const mine = before.then(() => askAll(question, take, wanted));
    before = mine.catch(() => {});
    await mine;
  };
}

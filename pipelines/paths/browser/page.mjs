// Loads the model of this folder. The folder must be served over HTTP: a file:// page may not fetch.
// `await model` is an object with predict(inputs); inputs and outputs are {name: {dtype, shape, data}}, data a typed
// array in the order of C. Threads need the headers Cross-Origin-Opener-Policy: same-origin and
// Cross-Origin-Embedder-Policy: require-corp.
import { load } from "./model.mjs";

const threads = Number(new URLSearchParams(location.search).get("threads") ?? 1);
const state = document.querySelector("#state");

globalThis.model = load(threads).then(
  (model) => {
    performance.mark("model loaded");
    state.textContent = "The model is ready: see model.mjs.";
    return model;
  },
  (error) => {
    state.textContent = `The model cannot be loaded: ${error}`;
    throw error;
  },
);

// Runs the ONNX file that about.json names, by ONNX Runtime's WebAssembly build.
import * as ort from "./runtime/ort.wasm.min.mjs";

export async function load(threads) {
  const here = (name) => new URL(name, import.meta.url).href;
  const about = await (await fetch(here("about.json"))).json();
  ort.env.wasm.wasmPaths = here("runtime/");
  ort.env.wasm.numThreads = threads;
  const session = await ort.InferenceSession.create(here(about.file), { executionProviders: ["wasm"] });

  async function predict(inputs) {
    const feeds = {};
    for (const [name, { dtype, shape, data }] of Object.entries(inputs)) feeds[name] = new ort.Tensor(dtype, data, shape);
    const outputs = {};
    for (const [name, tensor] of Object.entries(await session.run(feeds))) {
      outputs[name] = { dtype: tensor.type, shape: tensor.dims, data: tensor.data };
    }
    return outputs;
  }
  return { predict };
}

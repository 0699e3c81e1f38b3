// Runs the graph model that about.json names, by TensorFlow.js with the backend that it names: wasm or webgl.
import "./runtime/tf-core.min.js"; // the three write to the global `tf`
import "./runtime/tf-converter.min.js";

export async function load(threads) {
  const here = (name) => new URL(name, import.meta.url).href;
  const about = await (await fetch(here("about.json"))).json();
  await import(`./runtime/tf-backend-${about.backend}.min.js`);
  const tf = globalThis.tf;
  if (about.backend === "wasm") {
    tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", threads > 1 && crossOriginIsolated);
    tf.wasm.setThreadsCount(threads);
    tf.wasm.setWasmPaths(here("runtime/"));
  }
  if (!(await tf.setBackend(about.backend))) throw new Error(`no backend ${about.backend} in this browser`);
  const model = await tf.loadGraphModel(here(about.file));
  const names = about.outputs.map(({ name }) => name);
  const nodes = names.map((name) => model.modelSignature.outputs[name].name);

  // TensorFlow.js has no int64: whole numbers are int32 in it.
  const array = (dtype, data) => (dtype === "int64" ? Int32Array.from(data, Number) : data);
  const type = (dtype) => (dtype === "int64" ? "int32" : dtype);

  async function predict(inputs) {
    const feeds = {};
    for (const [name, { dtype, shape, data }] of Object.entries(inputs)) {
      feeds[name] = tf.tensor(array(dtype, data), shape, type(dtype));
    }
    const found = model.execute(feeds, nodes), outputs = {};
    const tensors = Array.isArray(found) ? found : [found];
    const data = await Promise.all(tensors.map((tensor) => tensor.data()));
    names.forEach((name, at) => (outputs[name] = { dtype: tensors[at].dtype, shape: tensors[at].shape, data: data[at] }));
    tf.dispose([feeds, tensors]);
    return outputs;
  }
  return { predict };
}

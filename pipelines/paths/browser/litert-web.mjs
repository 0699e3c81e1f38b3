// Runs the .tflite file that about.json names, by LiteRT.js and its WebAssembly kernels. The file takes one row.
import { Tensor, loadAndCompile, loadLiteRt } from "./runtime/litert.js";

export async function load(threads) {
  const here = (name) => new URL(name, import.meta.url).href;
  const about = await (await fetch(here("about.json"))).json();
  await loadLiteRt(here("runtime/"), { threads: threads > 1 });
  const options = { accelerator: "wasm", cpuOptions: { numThreads: threads } };
  const model = await loadAndCompile(here(about.file), options);
  const whole = new Set(about.inputs.filter(({ dtype }) => dtype === "int64").map(({ name }) => name));

  async function one(inputs) {
    const feeds = {};
    for (const [name, { shape, data }] of Object.entries(inputs)) {
      feeds[name] = Tensor.fromTypedArray(whole.has(name) ? Int32Array.from(data, Number) : data, shape);
    }
    const found = await model.run(feeds), outputs = {};
    for (const [name, tensor] of Object.entries(found)) outputs[name] = await tensor.data();
    for (const tensor of [...Object.values(feeds), ...Object.values(found)]) tensor.delete();
    return outputs;
  }

  async function predict(inputs) {
    const rows = Object.values(inputs)[0].shape[0], answers = [];
    for (let row = 0; row < rows; row += 1) {
      const single = {};
      for (const [name, { shape, data }] of Object.entries(inputs)) {
        const size = data.length / rows;
        single[name] = { shape: [1, ...shape.slice(1)], data: data.slice(row * size, (row + 1) * size) };
      }
      answers.push(await one(single));
    }
    const outputs = {};
    for (const { name, dtype, shape } of about.outputs) {
      const data = new answers[0][name].constructor(answers[0][name].length * rows);
      answers.forEach((answer, row) => data.set(answer[name], row * answer[name].length));
      outputs[name] = { dtype, shape: [rows, ...shape.slice(1)], data };
    }
    return outputs;
  }
  return { predict };
}

// Slipway's side of a page: carries arrays in and out, and runs load tests against `model` on the page's own clock.
// It is no part of a payload: it is put into the page by the DevTools protocol.
globalThis.slipway = (() => {
  if (!Uint8Array.fromBase64) throw new Error("Chromium 140 or newer is needed");
  const ARRAYS = {
    float32: Float32Array, float64: Float64Array, int64: BigInt64Array, int32: Int32Array, int16: Int16Array,
    int8: Int8Array, uint8: Uint8Array, bool: Uint8Array,
  };
  const ANSWERED = 1, REFUSED = 2, TIMED_OUT = 4; // pipelines.loadtest.recording.Outcome
  const MOST_ERRORS = 5, GOLDEN = (Math.sqrt(5) - 1) / 2;

  const each = (arrays, change) => Object.fromEntries(Object.entries(arrays).map(([name, one]) => [name, change(one)]));
  const decode = ({ dtype, shape, data }) => ({ dtype, shape, data: new ARRAYS[dtype](Uint8Array.fromBase64(data).buffer) });
  const bytes = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength).toBase64();
  const encode = ({ dtype, shape, data }) => ({ dtype, shape: [...shape], data: bytes(data) });
  let given = [];

  async function ready() {
    await model;
    return { loaded_ms: performance.getEntriesByName("model loaded")[0].startTime, isolated: crossOriginIsolated };
  }

  async function predict(inputs) {
    const arrays = each(inputs, decode), loaded = await model;
    const begin = performance.now();
    const answer = await loaded.predict(arrays);
    return { ms: performance.now() - begin, outputs: each(answer, encode) };
  }

  function give(inputs) {
    given = inputs.map((one) => each(one, decode));
  }

  // A timer of the page is late by milliseconds where it is nested: this one is not.
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  const pause = (ms) => Atomics.waitAsync(nobody, 0, 0, ms).value;

  // plan: scenario, warmup_ms, duration_ms, most, outstanding, timeout_ms, keep, keep_bytes, and for the scenario server
  // due_ms (base64 of float64, from the begin) and first. All times of the result are of performance.now().
  async function offer(plan) {
    const { predict: run } = await model;
    const intended = [], sent = [], done = [], outcome = [], errors = new Set();
    const late = `no answer within ${plan.timeout_ms / 1000} s`;
    let kept = new Map(), bytesKept = 0, below = 1, first = Infinity;
    const wants = (index) => ((index - first) * GOLDEN) % 1 < below;
    const sizeOf = (answer) => Object.values(answer).reduce((sum, { data }) => sum + data.byteLength, 0);

    function end(index, how, error) {
      outcome[index] = how;
      if (error && index >= first && errors.size < MOST_ERRORS) errors.add(error);
    }

    async function one(due, begun) {
      const index = intended.length;
      intended.push(due);
      sent.push(begun);
      let now = performance.now(), answer;
      done.push(now);
      if (now - due > plan.timeout_ms) return end(index, TIMED_OUT, late);
      try {
        answer = await run(given[index % given.length]);
      } catch (error) {
        done[index] = performance.now();
        return end(index, REFUSED, String(error));
      }
      done[index] = now = performance.now();
      if (now - due > plan.timeout_ms) return end(index, TIMED_OUT, late);
      end(index, ANSWERED);
      if (index < first || !wants(index)) return;
      kept.set(index, answer);
      bytesKept += sizeOf(answer);
      while (kept.size > 1 && (kept.size > plan.keep || bytesKept > plan.keep_bytes)) {
        below /= 2;
        kept = new Map([...kept].filter(([number]) => wants(number)));
        bytesKept = [...kept.values()].reduce((sum, each) => sum + sizeOf(each), 0);
      }
    }

    async function closed(ms, most, least, patient) {
      const begin = intended.length, start = performance.now(), stop = start + ms;
      let now = start, together = start;
      while (intended.length - begin < most) {
        const count = intended.length, room = count - plan.outstanding;
        now = performance.now();
        if (now >= (count - begin < least ? start + patient : stop)) break;
        let due = now;
        if (plan.scenario === "multi-stream") {
          if ((count - begin) % plan.outstanding === 0) together = now;
          due = together;
        } else if (plan.outstanding > 1) due = room >= begin ? done[room] : start;
        await one(due, due);
      }
      return Math.min(stop, now);
    }

    let start, stop;
    if (plan.due_ms) {
      const due = new Float64Array(Uint8Array.fromBase64(plan.due_ms).buffer), begin = performance.now();
      first = plan.first;
      for (const offset of due) {
        const when = begin + offset;
        let begun = when, now;
        while ((now = performance.now()) < when) {
          await pause(when - now);
          begun = performance.now();
        }
        await one(when, begun);
      }
      start = begin + plan.warmup_ms;
      stop = begin + plan.end_ms;
    } else {
      if (plan.warmup_ms) await closed(plan.warmup_ms, plan.most, 0);
      first = intended.length;
      start = performance.now();
      const most = Math.min(plan.requests ?? Infinity, plan.most - first);
      stop = await closed(plan.duration_ms, most, plan.least, plan.patient_ms);
    }
    const times = each({ intended, sent, done }, (array) => bytes(Float64Array.from(array)));
    return {
      ...times, outcome: bytes(Int8Array.from(outcome)), first: Math.min(first, intended.length), start, stop,
      errors: [...errors], kept: [...kept].map(([index, answer]) => [index, each(answer, encode)]),
    };
  }

  // The memory of the page as the browser counts it: JavaScript's, WebAssembly's and the document's.
  const memory = async () => (await performance.measureUserAgentSpecificMemory()).bytes;

  return { ready, predict, give, offer, memory, now: () => performance.now() };
})();

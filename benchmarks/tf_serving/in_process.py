"""Makes the same calls without a server, in a process of their own, to compare the servers with.

    python benchmarks/tf_serving/in_process.py FOLDER SHAPE SECONDS CALLERS HOW

Prints one line of JSON: CPU milliseconds a call, calls a second with this many threads, peak resident bytes,
seconds from the start of the process to the first answer. SHAPE is that of the input, rows included. HOW is
"documented", a call of the function that tf.saved_model.load gives, or "session", the call that the server makes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import psutil


def main(folder: str, shape: str, seconds: str, callers: str, how: str) -> None:
    """Imports TensorFlow, loads the SavedModel and calls its signature."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import numpy as np

    from serving.lean import import_lean

    import_lean()  # as the server does
    import tensorflow as tf

    from serving.launch import peak_rss_bytes

    tf.config.threading.set_intra_op_parallelism_threads(1)  # as the server does: calls run side by side
    x = np.random.default_rng(7).random(json.loads(shape), np.float32)
    if how == "documented":
        model = tf.saved_model.load(folder)
        signature = model.signatures["serving_default"]

        def call() -> np.ndarray:
            return signature(x=tf.constant(x))["y"].numpy()

    else:
        from serving.tf_serving.runtime.saved_model import ONE_THREAD, definitions, load_session, runner

        session = load_session(Path(folder), ONE_THREAD)
        run = runner(session, definitions(Path(folder))["serving_default"])

        def call() -> np.ndarray:
            return run({"x": x}, ["y"])["y"]

    call()
    process = psutil.Process()
    first_answer_s = time.time() - process.create_time()
    for _ in range(20):
        call()
    found = {"first_answer_s": first_answer_s, "model": Path(folder).parent.name}
    cpu, start, calls = time.process_time(), time.perf_counter(), 0
    while time.perf_counter() - start < float(seconds):
        call()
        calls += 1
    found |= {"cpu_ms": (time.process_time() - cpu) / calls * 1e3}
    counts = [0] * int(callers)
    start = time.perf_counter()

    def keep_calling(index: int) -> None:
        while time.perf_counter() - start < float(seconds):
            call()
            counts[index] += 1

    threads = [threading.Thread(target=keep_calling, args=(index,)) for index in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found["rate_per_s"] = sum(counts) / (time.perf_counter() - start)
    found["peak_rss_bytes"] = peak_rss_bytes(process)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

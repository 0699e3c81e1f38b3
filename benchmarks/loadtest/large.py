"""``python large.py``: percentiles of ten million latencies in its own process: its time and memory as JSON."""

from __future__ import annotations

import json
import time

import numpy as np
import psutil

from pipelines.loadtest.statistics.percentiles import percentiles
from serving.launch import peak_rss_bytes

COUNT = 10_000_000


def main() -> None:
    latencies = np.random.default_rng(1).exponential(5.0, COUNT)
    begun, cpu_s = time.perf_counter(), time.process_time()
    found = percentiles(latencies)
    seconds, cpu_s = time.perf_counter() - begun, time.process_time() - cpu_s
    memory = peak_rss_bytes(psutil.Process())  # getrusage starts with the memory of the process that forked this one
    exact = float(np.partition(latencies, COUNT * 99 // 100 - 1)[COUNT * 99 // 100 - 1])
    facts = {"seconds": seconds, "cpu_s": cpu_s, "megabytes": memory and memory / 1e6}
    print(json.dumps(facts | {"p99": found.claimed["p99"], "exact": exact}))


if __name__ == "__main__":
    main()

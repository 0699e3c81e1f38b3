"""``python large.py``: percentiles of ten million latencies in its own process, with seconds and megabytes as JSON."""

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
    begun = time.perf_counter()
    found = percentiles(latencies)
    seconds = time.perf_counter() - begun
    memory = peak_rss_bytes(psutil.Process())  # getrusage starts with the memory of the process that forked this one
    exact = float(np.partition(latencies, COUNT * 99 // 100 - 1)[COUNT * 99 // 100 - 1])
    facts = {"seconds": seconds, "megabytes": memory and memory / 1e6, "p99": found.claimed["p99"], "exact": exact}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()

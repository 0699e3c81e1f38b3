"""``python loadgen_client.py URL RATE SECONDS FOLDER``: MLPerf LoadGen's server scenario against an HTTP server.

A pool of threads with a connection each carries the queries, more than can be in flight in a stall of 500 ms.
"""

from __future__ import annotations

import http.client
import queue
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import mlperf_loadgen as lg

BODY = b"x" * 3_000
SAMPLES = 64


def main(url: str, rate: float, seconds: float, folder: str) -> None:
    parts = urlsplit(url)
    waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    workers = int(rate * 0.6) + 16

    def work() -> None:
        connection = http.client.HTTPConnection(parts.netloc)
        while (query := waiting.get()) is not None:
            connection.request("POST", parts.path, BODY)
            connection.getresponse().read()
            lg.QuerySamplesComplete([lg.QuerySampleResponse(query, 0, 0)])

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()

    def issue(samples: list[lg.QuerySample]) -> None:
        for sample in samples:
            waiting.put(sample.id)

    settings = lg.TestSettings()
    settings.scenario, settings.mode = lg.TestScenario.Server, lg.TestMode.PerformanceOnly
    settings.server_target_qps, settings.server_target_latency_ns = rate, 10**9
    settings.min_duration_ms = settings.max_duration_ms = int(seconds * 1000)
    settings.min_query_count = 1
    logs = lg.LogSettings()
    logs.log_output.outdir = folder
    sut = lg.ConstructSUT(issue, lambda: None)
    samples = lg.ConstructQSL(SAMPLES, SAMPLES, lambda _: None, lambda _: None)
    lg.StartTestWithLogSettings(sut, samples, settings, logs)
    lg.DestroyQSL(samples)
    lg.DestroySUT(sut)
    for _ in threads:
        waiting.put(None)
    print((Path(folder) / "mlperf_log_summary.txt").read_text())


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4])

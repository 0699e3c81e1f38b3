"""``python loadgen_client.py URL RATE SECONDS FOLDER``: MLPerf LoadGen's server scenario against HTTP or gRPC.

Over HTTP a pool of threads with a connection each carries the queries, more than can be in flight in a stall of
500 ms; over gRPC one channel does, with a callback for each.
"""

from __future__ import annotations

import http.client
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import mlperf_loadgen as lg

BODY = b"x" * 3_000
SAMPLES = 64


def over_http(url: str, rate: float) -> tuple[Callable[[int], None], Callable[[], None]]:
    """Returns a function that sends a query, and one that ends the test."""
    parts = urlsplit(url)
    waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def work() -> None:
        connection = http.client.HTTPConnection(parts.netloc)
        while (query := waiting.get()) is not None:
            connection.request("POST", parts.path, BODY)
            connection.getresponse().read()
            lg.QuerySamplesComplete([lg.QuerySampleResponse(query, 0, 0)])

    threads = [threading.Thread(target=work, daemon=True) for _ in range(int(rate * 0.6) + 16)]
    for thread in threads:
        thread.start()

    def end() -> None:
        for _ in threads:
            waiting.put(None)

    return waiting.put, end


def over_grpc(url: str, _rate: float) -> tuple[Callable[[int], None], Callable[[], None]]:
    """Returns a function that sends a query, and one that ends the test."""
    import grpc

    parts = urlsplit(url)
    channel = grpc.insecure_channel(parts.netloc)
    ask = channel.unary_unary(parts.path)

    def send(query: int) -> None:
        ask.future(BODY).add_done_callback(lambda _: lg.QuerySamplesComplete([lg.QuerySampleResponse(query, 0, 0)]))

    return send, channel.close


def main(url: str, rate: float, seconds: float, folder: str) -> None:
    send, end = (over_grpc if url.startswith("grpc") else over_http)(url, rate)

    def issue(samples: list[lg.QuerySample]) -> None:
        for sample in samples:
            send(sample.id)

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
    end()
    print((Path(folder) / "mlperf_log_summary.txt").read_text())


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4])

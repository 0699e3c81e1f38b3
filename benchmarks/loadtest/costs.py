"""Measures the cost of the load generator beside wrk (HTTP) and h2load (gRPC): a part of run.py.

Both send 3 KB to the same echo server over the same number of connections or streams, one process each, one after
the other, pinned to the same processor with the same priority. A closed loop shows the peak rate and the CPU time
of a request; an open loop shows how late requests are sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tools import BODY, h2load_words, wrk_rate, wrk_words

from pipelines.loadtest.generator.priority import settle
from pipelines.loadtest.measure import measure
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.truth.start import ground_truth
from pipelines.results import Scenario
from serving.clients import Call

LOOPBACK = "127.0.0.1"
CONNECTIONS = 16
LAG_RATE = 500.0
OTHER = {"http": "wrk", "grpc": "h2load"}


class EchoHttp(asyncio.Protocol):
    """Answers each request with its body, as cheaply as possible, to leave the machine to the client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if end and len(body) >= int(head[head.lower().find(b"content-length:") + 15 :].split(b"\r\n", 1)[0]):
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))  # type: ignore[attr-defined]
            self._data = b""


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(EchoHttp, LOOPBACK, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def echo_server(kind: str) -> Iterator[Call]:
    """Starts a server on the first processor: over HTTP the one above, over gRPC the ground truth."""
    if kind == "grpc":
        with ground_truth("grpc") as server:
            yield server.call("/echo")
        return
    command = [sys.executable, "-m", "serving.guard", str(os.getpid()), sys.executable, __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=partial(settle, 0)) as process:
        assert process.stdout is not None
        try:
            yield Call(f"{kind}://{LOOPBACK}:{int(process.stdout.readline())}", "/echo")
        finally:
            process.kill()


def slipway(call: Call, settings: LoadSettings) -> Scenario:
    with tempfile.TemporaryDirectory() as folder:
        found = measure(call, [BODY], lambda _, answer: answer == BODY, settings, Path(folder))
    load = found.load
    if load.errors or found.match_share != 1.0:
        raise RuntimeError(f"{load.errors} errors, match {found.match_share}: {load.error_examples}")
    return found


def other(kind: str, call: Call, seconds: int) -> tuple[float, float]:
    """Runs wrk or h2load; returns (requests/s, CPU us a request)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "http":
            words = ["wrk", *wrk_words(folder, int(seconds), CONNECTIONS)]
        else:
            words = ["h2load", *h2load_words(folder, seconds, CONNECTIONS)]
        url = call.url.replace("grpc://", "http://") + call.path
        before = os.times()
        done = subprocess.run(
            [*words, url],
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + 60,
            preexec_fn=settle,
        )
        after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    rate = wrk_rate(done.stdout) if kind == "http" else float(re.findall(r"([\d.]+) req/s", done.stdout)[0])
    return rate, cpu_s / (rate * seconds) * 1e6


def costs(seconds: int, runs: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Returns one row for each protocol: medians, and the figures of each run."""
    found = []
    for kind, name in OTHER.items():
        row: dict[str, Any] = {"kind": kind, "other": name, "connections": CONNECTIONS, "bytes": len(BODY)}
        there = shutil.which(name) is not None
        if not there:
            row["reason"] = f"{name} is not on the PATH"
        seen: dict[str, list[float]] = {}

        def note(of: dict[str, list[float]], **values: float | None) -> None:
            for key, value in values.items():
                if value is not None:
                    of.setdefault(key, []).append(value)

        with echo_server(kind) as call:
            for run in range(runs):
                say(f"{kind}: cost, run {run + 1} of {runs}")
                closed = slipway(call, LoadSettings("offline", seconds, 0.5, concurrency=CONNECTIONS))
                peak = closed.load.rate_per_s
                note(seen, cpu_us=closed.generator.cpu_us_per_request, peak_per_s=peak)
                if there:
                    rate, cpu_us = other(kind, call, seconds)
                    note(seen, other_cpu_us=cpu_us, other_peak_per_s=rate, peak_ratio=peak / rate)
                opened = slipway(call, LoadSettings("server", seconds, 0.5, rate_per_s=LAG_RATE)).generator
                note(seen, lag_p50_us=opened.send_lag_p50_us, lag_p99_us=opened.send_lag_p99_us)
                note(seen, open_cpu_us=opened.cpu_us_per_request)
        medians = {key: statistics.median(values) for key, values in seen.items()}
        found.append({**row, **medians, "runs": seen})
    return found


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve())

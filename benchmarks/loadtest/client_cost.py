"""What the load generator itself costs: client CPU per request, against an echo server.

    python benchmarks/loadtest/client_cost.py [--seconds 2] [--runs 5]

Prints, for HTTP/1.1 and gRPC and each scenario, medians over the runs of the CPU time per request of the
generator's process (all its threads), the rate, and how late requests were sent (server scenario).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipelines.loadtest.measure import measure
from pipelines.loadtest.settings import LoadSettings
from pipelines.results import Scenario
from serving.clients import Call

LOOPBACK = "127.0.0.1"
BODY = b"x" * 3_000


def scenarios(seconds: float) -> list[LoadSettings]:
    return [
        LoadSettings("single-stream", seconds, 0.5),
        LoadSettings("offline", seconds, 0.5, concurrency=16),
        LoadSettings("server", seconds, 0.5, rate_per_s=500.0),
    ]


class EchoHttp(asyncio.Protocol):
    """Answers each request with its body; as cheap as it can be, to leave the machine to the client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if end and len(body) >= int(head[head.lower().find(b"content-length:") + 15 :].split(b"\r\n", 1)[0]):
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))  # type: ignore[attr-defined]
            self._data = b""


async def serve_http() -> None:
    server = await asyncio.get_running_loop().create_server(EchoHttp, LOOPBACK, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def serve_grpc() -> None:
    import grpc

    async def echo(body: bytes, _context: object) -> bytes:
        return body

    class Handler(grpc.GenericRpcHandler):
        def service(self, _details: object) -> object:
            return grpc.unary_unary_rpc_method_handler(echo)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handler(),))
    print(server.add_insecure_port(f"{LOOPBACK}:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


SERVERS = {"http": serve_http, "grpc": serve_grpc}


@contextlib.contextmanager
def echo_server(kind: str) -> Iterator[Call]:
    command = [sys.executable, "-m", "serving.guard", str(os.getpid()), sys.executable, __file__, "--serve", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield Call(f"{kind}://{LOOPBACK}:{int(process.stdout.readline())}", "/echo/it")
        finally:
            process.kill()


def once(call: Call, settings: LoadSettings) -> Scenario:
    with tempfile.TemporaryDirectory() as folder:
        found = measure(call, [BODY], lambda _, answer: answer == BODY, settings, Path(folder))
    if not found.valid or found.match_share != 1.0:
        print(f"  not valid: {found.invalid_because}, match {found.match_share}")
    return found


def machine() -> str:
    model = platform.processor() or "unknown CPU"
    with contextlib.suppress(FileNotFoundError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} cores, load {load:.1f}; {platform.platform()}; Python {platform.python_version()}"
    )


def median(values: list[float | None]) -> float:
    return statistics.median(value for value in values if value is not None)


def main(seconds: float, runs: int) -> None:
    print(machine())
    print(f"medians of {runs} runs of {seconds:g} s; body {len(BODY):,} bytes; smallest and largest in brackets")
    for kind in SERVERS:
        with echo_server(kind) as call:
            for settings in scenarios(seconds):
                found = [once(call, settings) for _ in range(runs)]
                cpu = sorted(one.client_cpu_us_per_request or 0.0 for one in found)
                line = f"{kind} {settings.scenario:13} client CPU {median([*cpu]):6.1f} us/request"
                line += f" ({cpu[0]:.1f}-{cpu[-1]:.1f})"
                line += f", {median([one.rate_per_s for one in found]):8,.0f} requests/s"
                if settings.scenario == "server":
                    lags = [[one.send_lag_p50_us for one in found], [one.send_lag_p99_us for one in found]]
                    line += f", sent late p50 {median(lags[0]):.0f} us, p99 {median(lags[1]):.0f} us"
                print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        import uvloop

        uvloop.run(SERVERS[options.serve]())
    else:
        main(options.seconds, options.runs)

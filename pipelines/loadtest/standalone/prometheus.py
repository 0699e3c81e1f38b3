"""A running test in Prometheus' text format (version 0.0.4), on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pipelines.base.errors import UserError
from pipelines.loadtest.generator.live import Glance

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(glance: Glance | None) -> str:
    """The metrics of a glance; before the measured part, only that it has not begun."""
    lines = [
        "# HELP slipway_loadtest_measuring Whether the measured part of the load test has begun.",
        "# TYPE slipway_loadtest_measuring gauge",
        f"slipway_loadtest_measuring {int(glance is not None)}",
    ]
    if glance is None:
        return "\n".join(lines) + "\n"
    lines += [
        "# HELP slipway_loadtest_requests_total Measured requests that ended, by how.",
        "# TYPE slipway_loadtest_requests_total counter",
        f'slipway_loadtest_requests_total{{outcome="answered"}} {glance.answered}',
        f'slipway_loadtest_requests_total{{outcome="failed"}} {glance.errors}',
        "# HELP slipway_loadtest_in_flight Requests that are unanswered.",
        "# TYPE slipway_loadtest_in_flight gauge",
        f"slipway_loadtest_in_flight {glance.in_flight}",
        "# HELP slipway_loadtest_answers_per_second Answers in the last second.",
        "# TYPE slipway_loadtest_answers_per_second gauge",
        f"slipway_loadtest_answers_per_second {glance.rate_per_s:.6g}",
        "# HELP slipway_loadtest_latency_seconds Latency from the scheduled start, of the last second's answers.",
        "# TYPE slipway_loadtest_latency_seconds gauge",
    ]
    for quantile, value in (("0.5", glance.p50_ms), ("0.99", glance.p99_ms), ("1", glance.max_ms)):
        if value is not None:
            lines.append(f'slipway_loadtest_latency_seconds{{quantile="{quantile}"}} {value / 1e3:.9g}')
    return "\n".join(lines) + "\n"


class Exporter:
    """What the running test last looked like."""

    def __init__(self) -> None:
        self.glance: Glance | None = None

    def update(self, glance: Glance | None) -> None:
        self.glance = glance


@contextmanager
def exporting(port: int | None) -> Iterator[Exporter]:
    """Serves ``/metrics`` on a port of loopback until the block ends; nothing for None.

    Raises UserError when the port is in use.
    """
    exporter = Exporter()
    if port is None:
        yield exporter
        return

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exposition(exporter.glance).encode()
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are no news."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise UserError(f"cannot serve metrics on port {port}: {error.strerror}. Choose another.") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield exporter
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Serves the metrics of a running test to Prometheus, on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelines.base.errors import UserError
from pipelines.loadtest.generator.live import Glance

if TYPE_CHECKING:
    from prometheus_client import Metric


class Exporter:
    """Collects the metrics of the last glance at a running test."""

    def __init__(self) -> None:
        self.glance: Glance | None = None

    def update(self, glance: Glance | None) -> None:
        self.glance = glance

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics for a registry; before the measured part, only that it has not begun."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        glance = self.glance
        yield GaugeMetricFamily(
            "slipway_loadtest_measuring",
            "1 once the measured part of the load test has begun, 0 before.",
            int(glance is not None),
        )
        if glance is None:
            return
        requests = CounterMetricFamily(
            "slipway_loadtest_requests", "Measured requests that ended, by outcome.", labels=["outcome"]
        )
        requests.add_metric(["answered"], glance.answered)
        requests.add_metric(["failed"], glance.errors)
        yield requests
        yield GaugeMetricFamily("slipway_loadtest_in_flight", "Unanswered requests.", glance.in_flight)
        yield GaugeMetricFamily("slipway_loadtest_answers_per_second", "Answers in the last second.", glance.rate_per_s)
        latency = GaugeMetricFamily(
            "slipway_loadtest_latency_seconds",
            "Latency from the scheduled start, of the last second's answers.",
            labels=["quantile"],
        )
        for quantile, value in (("0.5", glance.p50_ms), ("0.99", glance.p99_ms), ("1", glance.max_ms)):
            if value is not None:
                latency.add_metric([quantile], value / 1e3)
        yield latency


@contextmanager
def exporting(port: int | None) -> Iterator[Exporter]:
    """Serves ``/metrics`` on a port of loopback until the block ends; does nothing for None.

    Raises UserError when the port is in use.
    """
    exporter = Exporter()
    if port is None:
        yield exporter
        return
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()  # not the global one, which adds metrics of this process
    registry.register(exporter)
    try:
        server, thread = start_http_server(port, "127.0.0.1", registry)
    except OSError as error:
        raise UserError(f"cannot serve metrics on port {port}: {error.strerror}. Choose another.") from error
    try:
        yield exporter
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

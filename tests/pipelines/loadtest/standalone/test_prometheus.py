"""The metrics of a running test, scraped as Prometheus does."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace

import pytest
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from pipelines.base.errors import UserError
from pipelines.loadtest.generator.live import Glance
from pipelines.loadtest.standalone.prometheus import exporting
from serving.launch import free_port

GLANCE = Glance(1200, 1100, 3, 97, 412.5, 5.25, 40.5, 61.0)
PLAIN, OPEN_METRICS = "text/plain", "application/openmetrics-text"
PARSERS = {
    PLAIN: text_string_to_metric_families,
    OPEN_METRICS: openmetrics_parser.text_string_to_metric_families,
}


def scrape(port: int, accept: str = PLAIN) -> dict[tuple[str, str | None], float]:
    """The value of each metric, by its name and the value of its label."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.headers["Content-Type"].startswith(accept)
        families = list(PARSERS[accept](answer.read().decode()))
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families)
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, next(iter(sample.labels.values()), None)): sample.value for sample in samples}


@pytest.mark.parametrize("accept", PARSERS)
def test_a_scrape_has_the_last_glance_and_nothing_else(accept: str) -> None:
    with exporting(port := free_port()) as exporter:
        assert scrape(port, accept) == {("slipway_loadtest_measuring", None): 0}
        exporter.update(GLANCE)
        found = scrape(port, accept)
        assert found == {
            ("slipway_loadtest_measuring", None): 1,
            ("slipway_loadtest_requests_total", "answered"): 1100,
            ("slipway_loadtest_requests_total", "failed"): 3,
            ("slipway_loadtest_in_flight", None): 97,
            ("slipway_loadtest_answers_per_second", None): 412.5,
            ("slipway_loadtest_latency_seconds", "0.5"): 0.00525,
            ("slipway_loadtest_latency_seconds", "0.99"): 0.0405,
            ("slipway_loadtest_latency_seconds", "1"): 0.061,
        }
        exporter.update(replace(GLANCE, p50_ms=None, p99_ms=None, max_ms=None))
        assert scrape(port, accept).keys() == {key for key in found if key[0] != "slipway_loadtest_latency_seconds"}


def test_the_port_is_free_after_the_block() -> None:
    for _ in range(2):
        with exporting(port := free_port()):
            scrape(port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_it_listens_on_loopback_alone() -> None:
    # 127.0.0.2 is loopback as well, but another address: whoever listens on all addresses answers there.
    with exporting(port := free_port()), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_a_port_in_use() -> None:
    with (
        exporting(port := free_port()),
        pytest.raises(UserError, match=f"cannot serve metrics on port {port}: Address already in use"),
        exporting(port),
    ):
        pytest.fail("the port was served twice")


def test_the_library_is_imported_only_when_it_is_used() -> None:
    program = (
        "import sys; from pipelines.loadtest.standalone.prometheus import exporting\n"
        "with exporting(None): print('prometheus_client' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"

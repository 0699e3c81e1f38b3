"""Metrics and their page: names, buckets, escapes, and a bound on what clients can make them hold."""

from __future__ import annotations

import threading

import pytest

from serving.tf_serving.base import metrics
from serving.tf_serving.base.metrics import MOST_STRANGERS, Counter, Histogram, exponential


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(metrics, "_REGISTRY", {})


def test_counter():
    counter = Counter("/a/b_c-d", "x", "9-y")
    assert metrics.page() == "# TYPE :a:b_c:d counter\n"
    counter.add("1", 'q"\\\n')
    counter.add("1", 'q"\\\n', by=2)
    assert metrics.page() == '# TYPE :a:b_c:d counter\n:a:b_c:d{x="1",_9_y="q\\"\\\\\\n"} 3\n'


def test_histogram():
    histogram = Histogram("/h", limits=exponential(10, 1.8, 3))
    for value in (5.0, 10.0, 10.5, 1e9):
        histogram.observe(value=value)
    assert metrics.page().splitlines() == [
        "# TYPE :h histogram",
        ':h_bucket{le="10"} 2',
        ':h_bucket{le="18"} 3',
        ':h_bucket{le="32.4"} 3',
        ':h_bucket{le="+Inf"} 4',
        ":h_sum{} 1000000025.5",
        ":h_count{} 4",
    ]


def test_of_models_that_are_not_there_the_newest_have_cells(monkeypatch):
    monkeypatch.setattr(metrics, "_MODELS", set())
    monkeypatch.setattr(metrics, "_STRANGERS", {})
    metrics.know(["served"])
    counter, other = Counter("/n", "model_name"), Counter("/o", "color")
    other.add("red")
    for name in ("served", *(f"made up {number}" for number in range(MOST_STRANGERS + 3)), "served"):
        counter.add(metrics.label(name))
    newest = sorted(f"made up {number}" for number in range(3, MOST_STRANGERS + 3))
    assert counter.lines()[1:] == [*(f':n{{model_name="{name}"}} 1' for name in newest), ':n{model_name="served"} 2']
    assert other.lines()[1:] == [':o{color="red"} 1']


def test_threads():
    counter = Counter("/t", "x")
    threads = [threading.Thread(target=lambda: [counter.add("a") for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ':t{x="a"} 8000' in counter.lines()

"""Count events and durations, and write them as a page in Prometheus' text format.

Names are converted as in tensorflow/serving (util/prometheus_exporter.cc): ``/tensorflow/serving/request_count``
becomes ``:tensorflow:serving:request_count``. Each combination of label values has its own cell. Clients can send
any model name, so of names that are not served only the newest few keep cells (:func:`label`).
"""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Sequence

CONTENT_TYPE = "text/plain"
MOST_STRANGERS = 10
"""The number of names that clients made up which have cells at a time."""

_BAD_IN_NAME = re.compile(r"[^a-zA-Z0-9_]")
_BAD_IN_LABEL = re.compile(r"[^a-zA-Z0-9]")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exponential(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """Return ``count`` upper limits of buckets, each ``growth`` times the one before; infinity is implied."""
    return tuple(scale * growth**power for power in range(count))


LATENCY_US = exponential(10, 1.8, 33)
"""Buckets of every latency: microseconds, up to about 20 minutes (servables/tensorflow/util.cc)."""


class Metric(ABC):
    """The base of counters and histograms: a name, labels, and one list of numbers per combination of label values."""

    kind = "untyped"
    size = 1  # numbers in a cell

    def __init__(self, path: str, *labels: str) -> None:
        self.name = _metric_name(path)
        self.labels = tuple(map(_label_name, labels))
        self._cells: dict[tuple[str, ...], list[float]] = {}
        self._lock = threading.Lock()
        with _REGISTRY_LOCK:
            _REGISTRY[self.name] = self

    def _cell(self, values: tuple[str, ...]) -> list[float]:
        cell = self._cells.get(values)
        return self._cells.setdefault(values, [0] * self.size) if cell is None else cell

    def forget_all_but(self, models: set[str]) -> None:
        """Remove the cells of all other models."""
        place = next((place for place, name in enumerate(self.labels) if name in _OF_MODEL), None)
        if place is not None:
            with self._lock:
                self._cells = {values: cell for values, cell in self._cells.items() if values[place] in models}

    def lines(self) -> list[str]:
        """Write the metric as lines of Prometheus' text format."""
        with self._lock:
            cells = {values: list(cell) for values, cell in self._cells.items()}
        found = [f"# TYPE {self.name} {self.kind}"]
        for values, cell in sorted(cells.items()):
            pairs = zip(self.labels, values, strict=True)
            found += self._points(",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in pairs), cell)
        return found

    @abstractmethod
    def _points(self, labels: str, cell: list[float]) -> list[str]:
        """Write the lines of one combination of labels."""


class Counter(Metric):
    """A number that only grows."""

    kind = "counter"

    def add(self, *values: str, by: int = 1) -> None:
        """Add to the cell of these label values."""
        with self._lock:
            self._cell(values)[0] += by

    def _points(self, labels: str, cell: list[float]) -> list[str]:
        return [f"{self.name}{{{labels}}} {cell[0]}"]


class Histogram(Metric):
    """Counts of values at or below each of ``limits``, with the sum and number of all values."""

    kind = "histogram"

    def __init__(self, path: str, *labels: str, limits: Sequence[float]) -> None:
        self.limits = tuple(limits)
        self.size = len(self.limits) + 2  # the last bucket is unlimited; then the sum
        super().__init__(path, *labels)

    def observe(self, *values: str, value: float) -> None:
        """Count one value in the cell of these label values."""
        bucket = bisect_left(self.limits, value)
        with self._lock:
            cell = self._cell(values)
            cell[bucket] += 1
            cell[-1] += value

    def _points(self, labels: str, cell: list[float]) -> list[str]:
        found, count = [], 0
        for limit, number in zip([*(f"{limit:g}" for limit in self.limits), "+Inf"], cell[:-1], strict=True):
            count += int(number)
            found.append(f'{self.name}_bucket{{{labels}{"," if labels else ""}le="{limit}"}} {count}')
        return [*found, f"{self.name}_sum{{{labels}}} {cell[-1]}", f"{self.name}_count{{{labels}}} {count}"]


def know(models: Iterable[str]) -> None:
    """Give the requests to these models cells of their own."""
    _MODELS.update(models)


def label(model: str) -> str:
    """Return the label of the requests to a model, its name; for a new name of no model, an older one is forgotten."""
    if model not in _MODELS and model not in _STRANGERS:
        with _REGISTRY_LOCK:
            if model in _STRANGERS:  # another thread was faster
                return model
            while len(_STRANGERS) >= MOST_STRANGERS:
                del _STRANGERS[next(iter(_STRANGERS))]
            _STRANGERS[model] = None
            kept = _MODELS.union(_STRANGERS)
            for metric in _REGISTRY.values():
                metric.forget_all_but(kept)
    return model


def page() -> str:
    """Write every metric, sorted by name."""
    with _REGISTRY_LOCK:
        metrics = sorted(_REGISTRY.items())
    return "".join(f"{line}\n" for _, metric in metrics for line in metric.lines())


def _metric_name(path: str) -> str:
    name = _BAD_IN_NAME.sub(":", path)
    return f"_{name}" if name[:1].isdigit() else name


def _label_name(name: str) -> str:
    name = _BAD_IN_LABEL.sub("_", name)
    return f"_{name}" if name[:1].isdigit() else name


_REGISTRY: dict[str, Metric] = {}
_REGISTRY_LOCK = threading.Lock()
_MODELS: set[str] = set()
_STRANGERS: dict[str, None] = {}
_OF_MODEL = ("model_name", "model")

REQUESTS = Counter("/tensorflow/serving/request_count", "model_name", "status")
REQUEST_LATENCY = Histogram("/tensorflow/serving/request_latency", "model_name", "API", "entrypoint", limits=LATENCY_US)
RUNTIME_LATENCY = Histogram("/tensorflow/serving/runtime_latency", "model_name", "API", "runtime", limits=LATENCY_US)
EXAMPLES = Histogram("/tensorflow/serving/request_example_counts", "model", limits=exponential(1, 2, 15))
EXAMPLES_TOTAL = Counter("/tensorflow/serving/request_example_count_total", "model")
WARMUP_LATENCY = Histogram("/tensorflow/serving/model_warmup_latency", "model_path", "status", limits=LATENCY_US)
LOADS = Counter("/tensorflow/cc/saved_model/load_attempt_count", "model_path", "status")

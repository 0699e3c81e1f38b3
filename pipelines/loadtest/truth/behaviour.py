"""Parses a path of the ground-truth server, and computes when its answer is due: pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NS_PER_MS = 1_000_000
FAULTS = (
    *("wrong", "half", "swapped", "error", "silent", "metadata"),
    *("chunked", "close", "short", "reset", "long", "drop"),
)


@dataclass(frozen=True, slots=True)
class Order:
    """The order that a path gives the server; times in nanoseconds.

    ``stall`` is (time after the first request, length); ``fault`` meets each ``every``-th request. ``late`` asks
    how late the server itself was. ``reversed`` holds each answer back until the next request's has left. ``size``
    is the number of bytes to answer with, whatever the request.
    """

    delay_ns: int = 0
    serial: bool = False
    stall: tuple[int, int] | None = None
    stall_now_ns: int = 0
    fault: str = ""
    every: int = 1
    late: bool = False
    reversed: bool = False
    size: int | None = None


def parse(path: str) -> Order:
    """Returns the order of a path such as ``/echo/5``. Raises ValueError for an invalid path."""
    kind, *words = path.strip("/").split("/")
    if "." in kind and len(words) == 1:  # a gRPC service and its method
        kind, *words = words[0].split("_")
    if kind in FAULTS and not words:
        return Order(fault=kind)
    if kind == "every" and len(words) == 2 and words[1] in FAULTS:
        return Order(fault=words[1], every=_at_least(1, int(words[0])))
    if kind == "size" and len(words) == 1:
        return Order(size=_at_least(0, int(words[0])))
    times = [_at_least(0, round(float(word) * NS_PER_MS)) for word in words]
    match kind, times:
        case "late", []:
            return Order(late=True)
        case "reversed", []:
            return Order(reversed=True)
        case "echo", []:
            return Order()
        case "echo", [delay]:
            return Order(delay)
        case "serial", [delay]:
            return Order(delay, serial=True)
        case "stall", [after, length, delay]:
            return Order(delay, stall=(after, length))
        case "stall-now", [length]:
            return Order(stall_now_ns=length)
    raise ValueError(f"not an order: {path!r}")


def _at_least(low: int, value: int) -> int:
    if value < low:
        raise ValueError(f"expected at least {low}. Received: {value}")
    return value


class Timing:
    """Computes when answers are due, for a whole server. All times are nanoseconds of one clock."""

    def __init__(self) -> None:
        self._stalls: list[tuple[int, int]] = []
        self._free_ns = 0  # when the serial worker has done all its work
        self._first: dict[tuple[int, int, int], int] = {}

    def stall(self, begin_ns: int, length_ns: int) -> None:
        self._stalls.append((begin_ns, begin_ns + length_ns))

    def after_stall(self, time_ns: int) -> int:
        """Returns ``time_ns``, or the end of the stall that it lies in."""
        for begin_ns, end_ns in self._stalls:
            if begin_ns <= time_ns < end_ns:
                time_ns = end_ns
        return time_ns

    def due(self, arrival_ns: int, order: Order) -> int:
        """Returns when the answer to a request is due; call it in the order of arrival."""
        if order.stall is not None:
            after_ns, length_ns = order.stall
            key = (after_ns, length_ns, order.delay_ns)
            if key not in self._first:
                self._first[key] = arrival_ns
                self.stall(arrival_ns + after_ns, length_ns)
        if order.stall_now_ns:
            self.stall(arrival_ns, order.stall_now_ns)
            return arrival_ns
        begin_ns = self.after_stall(arrival_ns)
        if not order.serial:
            return self.after_stall(begin_ns + order.delay_ns)
        begin_ns = self.after_stall(max(begin_ns, self._free_ns))
        self._free_ns = self.after_stall(begin_ns + order.delay_ns)
        return self._free_ns


def true_latencies_ms(arrivals_ns: np.ndarray, path: str) -> np.ndarray:
    """Returns each request's latency, from ``arrivals_ns`` (int64, ascending, shape [n]); float64, shape [n]."""
    timing, order = Timing(), parse(path)
    due = [timing.due(arrival, order) for arrival in arrivals_ns.tolist()]
    return (np.array(due, np.int64) - arrivals_ns) / NS_PER_MS

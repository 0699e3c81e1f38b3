"""Calls back when an answer is due, within some ten microseconds."""

from __future__ import annotations

import asyncio
import heapq
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from pipelines.loadtest.generator.wakeup import alarm
from pipelines.loadtest.truth.behaviour import FAULTS, NS_PER_MS, Order, Timing, parse

LATE, SIZE = "late:", "size:"
EARLY_NS = 80_000
"""The timer is set this much earlier, and a loop waits for the rest: timers come 50 to 100 us late."""


@dataclass(slots=True)
class Lateness:
    """The lateness of answers with a delay, before their way through the kernel, which takes some microseconds."""

    max_ns: int = 0
    sum_ns: int = 0
    answers: int = 0

    @property
    def max_ms(self) -> float:
        return self.max_ns / NS_PER_MS

    @property
    def mean_ms(self) -> float:
        return self.sum_ns / NS_PER_MS / self.answers if self.answers else 0.0


def read_lateness(answer: bytes) -> Lateness:
    """Reads the answer to the path /late."""
    return Lateness(**json.loads(answer))


class Clock:
    """The server's timing, and its agenda: (due, number, callback), the earliest first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timing = Timing()
        self._orders: dict[str, Order] = {}
        self._seen: dict[str, int] = {}
        self._agenda: list[tuple[int, int, Callable[[str], None], str]] = []
        self._number = 0
        self._late = Lateness()
        self._held: Callable[[str], None] | None = None
        self._alarm = alarm(loop, self._ring)

    def take(self, path: str, arrival_ns: int, reply: Callable[[str], None]) -> None:
        """Calls ``reply(fault)`` when the answer is due; the fault is empty for an echo.

        Raises ValueError for an invalid path.
        """
        order = self._orders.get(path)
        if order is None:
            order = self._orders[path] = parse(path)
        fault = order.fault
        if order.every > 1:
            self._seen[path] = seen = self._seen.get(path, 0) + 1
            fault = fault if seen % order.every == 0 else ""
        if order.late:
            late, self._late = self._late, Lateness()
            reply(LATE + json.dumps(asdict(late)))
            return
        if order.size is not None:
            reply(f"{SIZE}{order.size}")
            return
        if order.reversed:
            held, self._held = self._held, None if self._held else reply
            if held is not None:
                reply("")
                held("")
            return
        due_ns = self._timing.due(arrival_ns, order)
        if due_ns <= arrival_ns:
            reply(fault)
            return
        self._number += 1
        heapq.heappush(self._agenda, (due_ns, self._number, reply, fault))
        if self._agenda[0][1] == self._number:
            self._alarm.set(due_ns - EARLY_NS)

    def _ring(self) -> None:
        while self._agenda:
            due_ns, number, reply, fault = self._agenda[0]
            now_ns = time.monotonic_ns()
            late_ns = self._timing.after_stall(due_ns)
            if late_ns > due_ns:  # a stall began after the request was taken
                heapq.heapreplace(self._agenda, (late_ns, number, reply, fault))
                continue
            if due_ns - now_ns > EARLY_NS:
                self._alarm.set(due_ns - EARLY_NS)
                return
            heapq.heappop(self._agenda)
            while (now_ns := time.monotonic_ns()) < due_ns:
                pass
            late = self._late
            late.max_ns, late.sum_ns = max(late.max_ns, now_ns - due_ns), late.sum_ns + now_ns - due_ns
            late.answers += 1
            reply(fault)


def wrong_bytes(fault: str, body: bytes, previous: bytes) -> bytes:
    """Returns the body of an answer under a fault that changes it; the body itself under any other."""
    if fault.startswith(LATE):
        return fault.removeprefix(LATE).encode()
    if fault.startswith(SIZE):
        return bytes(int(fault.removeprefix(SIZE)))
    if fault not in FAULTS:
        return body
    return {"wrong": b"wrong", "half": body[: len(body) // 2], "swapped": previous}.get(fault, body)

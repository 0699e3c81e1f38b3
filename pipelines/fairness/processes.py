"""Observes the CPU time and threads of processes from outside, while they are under load."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

LEAST_S = 0.3
"""The shortest window: in it, the clock's tick of 10 ms (proc(5), stat) is 3 % of a core or less."""
BUSY = 0.1
"""A thread counts as busy from this share of all CPU time on."""
SERVICE = ("C1 CompilerThre", "C2 CompilerThre", "GC Thread#", "G1 ", "VM Thread")
"""Name prefixes of a Java runtime's compiling and collecting threads: they answer no request. Linux cuts names after
15 characters. Measured: in the first seconds under load, a compiler takes half a core of TorchServe's."""
GONE = (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Seen:
    """Observed figures; None for those that could not be observed.

    ``cores`` is CPU seconds per second, ``service_cores`` the part of SERVICE threads. ``threads`` exist at the end
    of the test; ``busy_threads`` used BUSY of the CPU time or more, and are not SERVICE. ``cpus`` are the
    processors that the processes may use.
    """

    cores: float | None = None
    service_cores: float | None = None
    threads: int | None = None
    busy_threads: int | None = None
    cpus: tuple[int, ...] = ()


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all that it started; empty if it has ended."""
    with suppress(*GONE):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def cpu_seconds(processes: Iterable[psutil.Process]) -> dict[int, float]:
    """Map process ids to user and system time, for those that still run."""
    used = {}
    for process in processes:
        with suppress(*GONE):
            times = process.cpu_times()
            used[process.pid] = times.user + times.system
    return used


def _is_service(pid: int, thread: int) -> bool:
    """Tell whether a thread is a Java runtime's own; False where thread names cannot be read."""
    try:
        return Path(f"/proc/{pid}/task/{thread}/comm").read_text("utf-8", "replace").startswith(SERVICE)
    except OSError:
        return False


def _thread_seconds(processes: Iterable[psutil.Process]) -> dict[tuple[int, int], float]:
    """Map (process, thread) to CPU seconds."""
    found: dict[tuple[int, int], float] = {}
    for process in processes:
        with suppress(*GONE):
            found |= {(process.pid, one.id): one.user_time + one.system_time for one in process.threads()}
    return found


def _allowed(processes: Iterable[psutil.Process]) -> tuple[int, ...]:
    found: set[int] = set()
    for process in processes:
        with suppress(OSError, AttributeError):  # gone, or a system without affinity
            found |= os.sched_getaffinity(process.pid)
    return tuple(sorted(found))


class Watch:
    """Observes processes from before a load test until after it.

    :meth:`look` costs some ten microseconds a process, so it may be called while the test runs. Threads are
    only read before and after.
    """

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = processes
        self._before = _thread_seconds(processes)
        self._at_ns: list[int] = []
        self._cpu_s: list[float] = []
        self._last_s: dict[int, float] = {}

    def look(self) -> None:
        """Record the CPU time until now."""
        if self._processes:
            self._at_ns.append(time.monotonic_ns())
            # The time of a process that has ended stays counted: without it, the others would look idle.
            self._last_s |= cpu_seconds(self._processes)
            self._cpu_s.append(sum(self._last_s.values()))

    def used_s(self) -> float:
        """Return the CPU seconds between the first and the last look; 0 without two of them."""
        return self._cpu_s[-1] - self._cpu_s[0] if self._cpu_s else 0.0

    def seen(self, start_ns: int, stop_ns: int) -> Seen:
        """Return the figures between two moments (time.monotonic_ns) of the test."""
        if not self._processes:
            return Seen()
        after = _thread_seconds(self._processes)
        if not after:
            return Seen()  # all have ended
        used = {one: seconds - self._before.get(one, 0.0) for one, seconds in after.items()}
        total = sum(used.values())
        service = {one: seconds for one, seconds in used.items() if _is_service(*one)}
        busy = sum(seconds > 0 and seconds >= BUSY * total for one, seconds in used.items() if one not in service)
        cores = self._cores(start_ns, stop_ns)
        # Threads are not read in between: their share of the whole test is taken for the measured part.
        served = cores * sum(service.values()) / total if cores is not None and total > 0 else None
        return Seen(cores, served, len(after), busy, _allowed(self._processes))

    def _cores(self, start_ns: int, stop_ns: int) -> float | None:
        if not self._at_ns or start_ns < self._at_ns[0]:
            return None
        # A generator whose last answer came early ends before its schedule does.
        stop_ns = min(stop_ns, self._at_ns[-1])
        seconds = (stop_ns - start_ns) / 1e9
        if seconds < LEAST_S:
            return None
        start, stop = np.interp([start_ns, stop_ns], self._at_ns, self._cpu_s)
        return float(stop - start) / seconds

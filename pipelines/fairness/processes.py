"""CPU time and threads of some processes, seen from outside while they are under load."""

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
"""A window in which the clock's tick of 10 ms (proc(5), stat) is 3 % of a core or less."""
BUSY = 0.1
"""The share of all CPU time from which on a thread counts as busy."""
SERVICE = ("C1 CompilerThre", "C2 CompilerThre", "GC Thread#", "G1 ", "VM Thread")
"""How the names of threads begin by which a Java runtime compiles and collects: they answer no request. Linux cuts
names after 15 characters. Measured: in the first seconds under load, a compiler takes half a core of TorchServe's."""
GONE = (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen; None for what could not be.

    ``cores`` is CPU seconds a second, of which ``service_cores`` were SERVICE threads'. ``threads`` are there at
    the end of the test; ``busy_threads`` took BUSY of the CPU time or more, and are no SERVICE. ``cpus`` are the
    processors that the processes may use.
    """

    cores: float | None = None
    service_cores: float | None = None
    threads: int | None = None
    busy_threads: int | None = None
    cpus: tuple[int, ...] = ()


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that it started; empty if it is gone."""
    with suppress(*GONE):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def cpu_seconds(processes: Iterable[psutil.Process]) -> dict[int, float]:
    """Process id -> user and system time, of those that are still there."""
    used = {}
    for process in processes:
        with suppress(*GONE):
            times = process.cpu_times()
            used[process.pid] = times.user + times.system
    return used


def _is_service(pid: int, thread: int) -> bool:
    """Whether a thread is a Java runtime's own; False where threads have no names to be read."""
    try:
        return Path(f"/proc/{pid}/task/{thread}/comm").read_text("utf-8", "replace").startswith(SERVICE)
    except OSError:
        return False


def _thread_seconds(processes: Iterable[psutil.Process]) -> dict[tuple[int, int], float]:
    """(process, thread) -> CPU seconds."""
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
    """Looks at some processes, from before a load test until after it.

    :meth:`look` costs some ten microseconds a process: it may be called while the test runs. Threads are only
    looked at before and after.
    """

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = processes
        self._before = _thread_seconds(processes)
        self._at_ns: list[int] = []
        self._cpu_s: list[float] = []
        self._last_s: dict[int, float] = {}

    def look(self) -> None:
        """Note the CPU time until now."""
        if self._processes:
            self._at_ns.append(time.monotonic_ns())
            # What a process had used stays used when it ends: else the others would look idle.
            self._last_s |= cpu_seconds(self._processes)
            self._cpu_s.append(sum(self._last_s.values()))

    def seen(self, start_ns: int, stop_ns: int) -> Seen:
        """What was seen between two moments (time.monotonic_ns) of the test."""
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
        # Threads are not looked at in between: of the measured part as of the whole test.
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

"""Divides the processors between servers and the load generator, where there are enough of them.

Where it is allowed, the generator is a real-time process on the last processor
(``pipelines.loadtest.generator.priority``), and a server thread on that processor waits for it. With three
processors or more, servers stay off that one, and off its hyperthread as long as two are left. With two, servers
and generator share both, and the report says so: a server with one processor could do nothing side by side.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FEWEST = 3
"""The least number of processors that are divided."""
KEEP = 2
"""The number of processors that servers keep in any case."""
SIBLINGS = "devices/system/cpu/cpu{}/topology/thread_siblings_list"


@dataclass(frozen=True, slots=True)
class Division:
    """The processors' numbers; empty where the system does not report them."""

    server: tuple[int, ...]
    generator: tuple[int, ...]

    @property
    def apart(self) -> bool:
        """True if no processor is in both."""
        return bool(self.server) and not set(self.server) & set(self.generator)


def usable() -> tuple[int, ...]:
    """Return the processors that this thread may use; empty where the system does not report them."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def divide(cpus: tuple[int, ...], sys: Path = Path("/sys")) -> Division:
    """Give the generator the last of ``cpus``, if there are enough, and servers the others."""
    if len(cpus) < FEWEST:
        return Division(cpus, cpus)
    own = cpus[-1]
    twins = _siblings(own, sys)
    server = tuple(cpu for cpu in cpus if cpu not in twins)
    if len(server) < KEEP:
        server = cpus[:-1]
    return Division(server, (own,))


def _siblings(cpu: int, sys: Path) -> set[int]:
    """Return the processors of the same core, with ``cpu``. The file's format is ``0,4`` or ``0-1`` (cpuset(7))."""
    found = {cpu}
    with suppress(OSError, ValueError):
        for part in (sys / SIBLINGS.format(cpu)).read_text("ascii").strip().split(","):
            low, _, high = part.partition("-")
            found.update(range(int(low), int(high or low) + 1))
    return found


@contextmanager
def confined(cpus: tuple[int, ...]) -> Iterator[None]:
    """Confine what this thread starts in the block to these processors, for good; do nothing if empty.

    Affinity belongs to a thread (sched_setaffinity(2)), and what it starts inherits it.
    """
    before = usable()
    if not cpus or cpus == before:
        yield
        return
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

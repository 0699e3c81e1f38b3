"""Which processors servers and load generator run on: apart where there are enough of them.

The generator is a real-time process on the last processor where that is allowed
(``pipelines.loadtest.generator.priority``): a server thread that happens to be there waits for it. With three
processors or more, servers are kept off that one, and off its hyperthread, as long as two are left. With two they
share both: a server that had one alone would be measured without what it does side by side, and the report says that
they share.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FEWEST = 3
"""Processors from which on they are divided."""
KEEP = 2
"""Processors that servers keep in any case."""
SIBLINGS = "devices/system/cpu/cpu{}/topology/thread_siblings_list"


@dataclass(frozen=True, slots=True)
class Division:
    """Processors by their numbers; empty where the system does not say."""

    server: tuple[int, ...]
    generator: tuple[int, ...]

    @property
    def apart(self) -> bool:
        """Whether no processor is in both."""
        return bool(self.server) and not set(self.server) & set(self.generator)


def usable() -> tuple[int, ...]:
    """The processors that this thread may use; none where the system does not say."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def divide(cpus: tuple[int, ...], sys: Path = Path("/sys")) -> Division:
    """The last of ``cpus`` for the generator, if there are enough, and the others for servers."""
    if len(cpus) < FEWEST:
        return Division(cpus, cpus)
    own = cpus[-1]
    twins = _siblings(own, sys)
    server = tuple(cpu for cpu in cpus if cpu not in twins)
    if len(server) < KEEP:
        server = cpus[:-1]
    return Division(server, (own,))


def _siblings(cpu: int, sys: Path) -> set[int]:
    """The processors on the same core, itself included. The format is a list as ``0,4`` or ``0-1`` (cpuset(7))."""
    found = {cpu}
    with suppress(OSError, ValueError):
        for part in (sys / SIBLINGS.format(cpu)).read_text("ascii").strip().split(","):
            low, _, high = part.partition("-")
            found.update(range(int(low), int(high or low) + 1))
    return found


@contextmanager
def confined(cpus: tuple[int, ...]) -> Iterator[None]:
    """What this thread starts in the block runs on these processors only, and stays there; nothing if empty.

    Affinity is a thread's (sched_setaffinity(2)), and is inherited by what it starts.
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

"""Observes a load test from outside: the processes under test, and the rest of the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import psutil

from pipelines.fairness.machine import foreign_share, read
from pipelines.fairness.processes import Watch
from pipelines.results import Scenario

Span = tuple[int, int]
"""Begin and end, in the time of ``time.monotonic_ns``."""


def observed(
    load: Callable[[Watch], tuple[Scenario, Span | None]],
    processes: Sequence[psutil.Process],
    run: int | None = None,
) -> Scenario:
    """Runs a load test, and adds the threads of ``processes`` and the CPU time of everything else to its result.

    ``load`` may call :meth:`Watch.look` while it runs, and returns the result and its measured part (None if that
    is unknown). ``run`` is the process whose descendants count as ours (default: this one).
    """
    watch, before = Watch(processes), read(run, also=processes)
    found, span = load(watch)
    seen = watch.seen(*(span or (0, 0)))
    figures = replace(
        found.server,
        cores=seen.cores if seen.cores is not None else found.server.cores,
        service_cores=seen.service_cores,
        threads=seen.threads,
        busy_threads=seen.busy_threads,
        cpus=seen.cpus,
        foreign_cpu_share=foreign_share(before, read(run, also=processes)),
    )
    return replace(found, server=figures)

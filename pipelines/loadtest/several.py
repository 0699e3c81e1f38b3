"""Several generators under one coordinator: the schedule is shared out, and the recordings become one.

Percentiles are those of all latencies together. The generators share the monotonic clock of one machine, and may
each be in a network namespace of their own; a generator that is late to the common start sends late, and
the result is not valid.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from pipelines.errors import UserError
from pipelines.loadtest.conditions import cpu_ticks, governor, steal_share
from pipelines.loadtest.measure import check_answers, run_generator
from pipelines.loadtest.merge import merge
from pipelines.loadtest.plan import Plan, save_plan
from pipelines.loadtest.recording import Recording, load_recording
from pipelines.loadtest.schedule import Schedule, nothing_due, schedule_of, split
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.summary import nothing_measured, summarise
from pipelines.loadtest.trace import read_trace
from pipelines.loadtest.transport import check_call
from pipelines.results import Scenario
from serving.clients import Call

LEAD_S = 2.0
LEAD_EACH_S = 0.7
"""For the generators to start and import, before the common start; more for each that starts beside the others."""
POLL_S = 0.1


def measure_together(
    call: Call,
    bodies: Sequence[bytes],
    check: Callable[[int, bytes], bool],
    settings: LoadSettings,
    folder: Path,
    generators: int,
    namespaces: Sequence[str] = (),
    on_progress: Callable[[float], None] = lambda _: None,
) -> tuple[Scenario, Recording | None]:
    """As :func:`pipelines.loadtest.measure.measure`, by several generators; also the merged recording, if there is one.

    ``namespaces`` names a network namespace for each generator (``ip netns``), or none at all.

    Raises:
        UserError: fewer requests outstanding than generators, or another number of namespaces.
        KeyboardInterrupt: after every generator has been stopped; nothing is kept.
    """
    check_call(call)
    if namespaces and len(namespaces) != generators:
        raise UserError(f"{generators} generators need a namespace each. Received: {len(namespaces)}.")
    plans = _plans(call, bodies, settings, generators)
    folders = [folder / str(number) for number in range(generators)]
    cancelled = threading.Event()
    before = cpu_ticks()

    def run(number: int) -> str | None:
        folders[number].mkdir()
        headers = save_plan(folders[number], plans[number])
        prefix = ("ip", "netns", "exec", namespaces[number]) if namespaces else ()

        def progress(share: float) -> None:
            if cancelled.is_set():
                raise KeyboardInterrupt
            if number == 0:
                on_progress(share)

        # Its time begins with the common start.
        longer = replace(plans[number].settings, timeout_s=settings.timeout_s + LEAD_S + LEAD_EACH_S * generators)
        return run_generator(folders[number], headers, longer, progress, prefix)

    with ThreadPoolExecutor(generators) as pool:
        running = [pool.submit(run, number) for number in range(generators)]
        try:
            while not all(one.done() for one in running):
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            cancelled.set()
            raise
        failures = [text for one in running if (text := one.result()) is not None]
    if failures:
        return nothing_measured(settings, "; ".join(failures)), None
    recordings = [load_recording(one) for one in folders]
    counts = [check_answers(one, bodies, check) for one in folders]
    busiest = max(one.cpu_s / max(1e-9, (one.ended_ns - one.start_ns) / 1e9) for one in recordings)
    whole = merge(recordings, side_by_side=True)
    result = summarise(
        whole,
        settings,
        sum(checked for checked, _ in counts),
        sum(matched for _, matched in counts),
        steal_share=steal_share(before, cpu_ticks()),
        cpu_share=busiest,
    )
    warmup = sum(one.first for one in recordings)
    result = replace(result, distinct_inputs=len(set(bodies)), governor=governor(), warmup_requests=warmup)
    return replace(result, generators=generators), whole


def _plans(call: Call, bodies: Sequence[bytes], settings: LoadSettings, generators: int) -> list[Plan]:
    """A plan for each generator: its part of the schedule and a common start, or its part of the concurrency."""
    parts: list[Schedule] = [nothing_due()] * generators
    shares = [settings] * generators
    start_ns = 0
    if settings.scenario == "server":
        trace_ns = read_trace(settings.trace) if settings.arrivals == "trace" and settings.trace else None
        parts = split(schedule_of(settings, trace_ns), generators, settings.seed)
        start_ns = time.monotonic_ns() + int((LEAD_S + LEAD_EACH_S * generators) * 1e9)
    elif settings.scenario != "offline" or settings.concurrency < generators:
        raise UserError(
            f"several generators share a server or an offline test with a request each. Received: {settings.scenario}, "
            f"{settings.outstanding} outstanding, {generators} generators."
        )
    else:
        each, more = divmod(settings.concurrency, generators)
        requests = settings.requests // generators if settings.requests else None
        shares = [
            replace(settings, concurrency=each + (number < more), requests=requests) for number in range(generators)
        ]
    return [Plan(call, bodies, share, part, os.getpid(), start_ns) for share, part in zip(shares, parts, strict=True)]

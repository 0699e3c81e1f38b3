"""Several generators under one coordinator: the schedule is shared out, and the recordings become one.

Percentiles are those of all latencies together. Generators on this machine share its monotonic clock, and may each be
in a network namespace of their own; those on other hosts (:mod:`pipelines.loadtest.hosts`) are told the common start by
their own clock. A generator that is late to the common start sends late, and the result is not valid. One that is lost
costs its part: the result is that of the others, and not valid.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import UserError
from pipelines.loadtest.hosts import Hosts, RemotePart
from pipelines.loadtest.live import Glance, together
from pipelines.loadtest.measure import check_answers, mean_bytes
from pipelines.loadtest.merge import merge
from pipelines.loadtest.parts import LocalPart, Part, Told
from pipelines.loadtest.plan import Plan
from pipelines.loadtest.received import Damaged, received
from pipelines.loadtest.recording import RECORDING, Outcome, Recording
from pipelines.loadtest.schedule import Schedule, nothing_due, schedule_of, split
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics import rank_of
from pipelines.loadtest.summary import nothing_measured, summarise
from pipelines.loadtest.trace import read_trace
from pipelines.loadtest.transport import check_call
from pipelines.loadtest.validity import send_lag_limit_us
from pipelines.results import GeneratorPart, Scenario
from serving.clients import Call

LEAD_S = 2.0
LEAD_EACH_S = 0.7
"""For the generators to start and import, before the common start; more for each that starts beside the others."""
POLL_S = 0.1

Watch = Callable[[float, Glance | None], None]


def measure_together(
    call: Call,
    bodies: Sequence[bytes],
    check: Callable[[int, bytes], bool],
    settings: LoadSettings,
    folder: Path,
    generators: int = 1,
    namespaces: Sequence[str] = (),
    watch: Watch = lambda *_: None,
    hosts: Hosts | None = None,
) -> tuple[Scenario, Recording | None]:
    """As :func:`pipelines.loadtest.measure.measure`, by several generators; also the merged recording, if there is one.

    They are on ``hosts``, one for each name, or ``generators`` of them on this machine; there, ``namespaces`` names a
    network namespace for each (``ip netns``), or none at all. ``watch`` is called about ten times a second with the
    share of the time that has passed, 0 to 1, and with how all of them together stand.
    After KeyboardInterrupt, also one that ``watch`` raises, the result is what there is, marked partial.

    Raises:
        UserError: fewer requests outstanding than generators, or another number of namespaces.
        SlipwayError: a host cannot be reached, or has another slipway. Nothing was sent.
        KeyboardInterrupt: nothing was recorded. No generator is left running, however this is left.
    """
    check_call(call)
    many = len(hosts.names) if hosts else generators
    if namespaces and len(namespaces) != many:
        raise UserError(f"{many} generators need a namespace each. Received: {len(namespaces)}.")
    names = hosts.names if hosts else [""] * many
    plans = [
        replace(plan, number=names[:at].count(names[at]))
        for at, plan in enumerate(_plans(call, bodies, settings, many))
    ]
    lead_s = LEAD_S + LEAD_EACH_S * (hosts.most_on_one if hosts else many)
    with ExitStack() as stack:
        parts: list[Part] = []
        for number in range(many):
            place = folder / str(number)
            place.mkdir()
            part = _part(number, many, place, namespaces, hosts, lead_s)
            stack.callback(part.close)
            parts.append(part)
        told, interrupted = _run(parts, plans, settings, lead_s, watch)
    return conclude(parts, told, bodies, check, settings, interrupted)


def _part(number: int, many: int, folder: Path, namespaces: Sequence[str], hosts: Hosts | None, lead_s: float) -> Part:
    name = f"{number + 1} of {many}"
    if hosts:
        return RemotePart(name, folder, hosts.names[number], hosts, lead_s)
    return LocalPart(name, folder, namespaces[number] if namespaces else "", lead_s)


def _run(
    parts: Sequence[Part], plans: Sequence[Plan], settings: LoadSettings, lead_s: float, watch: Watch
) -> tuple[list[Told], bool]:
    """How each part ended, and whether it was interrupted."""
    cancelled = threading.Event()
    planned_ns = (settings.warmup_s + settings.duration_s) * 1e9
    with ThreadPoolExecutor(len(parts)) as pool:
        try:
            ready = [pool.submit(part.prepare, plan) for part, plan in zip(parts, plans, strict=True)]
            while not _ended(ready):
                watch(0.0, None)
            for one in ready:
                if one.done():  # of one that failed, not of those that still try
                    one.result()
            start_ns = time.monotonic_ns() + int(lead_s * 1e9)
            running = [pool.submit(part.run, start_ns, cancelled) for part in parts]
            try:
                while not _ended(running):
                    share = (time.monotonic_ns() - start_ns) / planned_ns
                    watch(min(1.0, max(0.0, share)), together(part.look() for part in parts))
            except KeyboardInterrupt:
                cancelled.set()
                wait(running)
            return [one.result() for one in running], cancelled.is_set()
        except BaseException:
            cancelled.set()
            for part in parts:
                part.kill()
            raise


def _ended(futures: Sequence[Future[Any]]) -> bool:
    """Whether all have ended, or one by an error; waits for it a little."""
    done, waiting = wait(futures, POLL_S, FIRST_EXCEPTION)
    return not waiting or any(one.exception() for one in done)


def conclude(
    parts: Sequence[Part],
    told: Sequence[Told],
    bodies: Sequence[bytes],
    check: Callable[[int, bytes], bool],
    settings: LoadSettings,
    interrupted: bool,
) -> tuple[Scenario, Recording | None]:
    """The result of the parts that there are; not valid if one is missing, or its clock is not known well enough."""
    left = [_taken(part, said) for part, said in zip(parts, told, strict=True)]
    kept = [(part, said, one) for part, said, one in zip(parts, told, left, strict=True) if isinstance(one, Recording)]
    reasons = [why for why in left if isinstance(why, str)]
    if not kept and interrupted:
        raise KeyboardInterrupt
    if not kept:
        return nothing_measured(settings, "; ".join(reasons)), None
    recordings = [one for _, _, one in kept]
    counts = [check_answers(part.folder, bodies, check) for part, _, _ in kept]
    whole = merge(recordings, side_by_side=True, ahead_ns=[said.ahead_ns for _, said, _ in kept])
    lines = tuple(
        GeneratorPart(part.name, host=part.host, lost=one) if isinstance(one, str) else _line(part, said, one, settings)
        for part, said, one in zip(parts, told, left, strict=True)
    )
    result = summarise(
        whole,
        settings,
        sum(checked for checked, _ in counts),
        sum(matched for _, matched in counts),
        steal_share=max((said.steal_share for _, said, _ in kept if said.steal_share is not None), default=None),
        cpu_share=max(line.cpu_share or 0.0 for line in lines),
    )
    limit_us = send_lag_limit_us(result.quantiles_ms[99] if result.quantiles_ms else None)
    reasons += [
        f"the load generator on {line.host} has a clock that is known to within {line.clock_bound_us / 1e3:.1f} ms "
        f"(limit {limit_us / 1e3:.1f} ms): the way there is too slow"
        for line in lines
        if line.clock_bound_us is not None and line.clock_bound_us > limit_us
    ]
    reasons += [result.invalid_because] if result.invalid_because else []
    reasons += ["interrupted"] if interrupted and not reasons else []
    return replace(
        result,
        valid=not reasons,
        invalid_because="; ".join(reasons) or None,
        partial=result.partial or interrupted,
        distinct_inputs=len(set(bodies)),
        request_bytes=mean_bytes(bodies),
        governor=", ".join(sorted({said.governor for _, said, _ in kept if said.governor})) or None,
        warmup_requests=sum(one.first for one in recordings),
        generators=len(parts),
        parts=lines,
    ), whole


def _taken(part: Part, said: Told) -> Recording | str:
    """What a part has recorded, or why it is lost."""
    why = said.lost
    if why is None and not (part.folder / RECORDING).exists():
        why = "it left no recording"
    if why is None:
        try:
            return received(part.folder)
        except Damaged as error:
            why = str(error)
    where = f"on {part.host}" if part.host else part.name
    return f"the load generator {where} is lost, and its part of the load: {why}"


def _line(part: Part, said: Told, recording: Recording, settings: LoadSettings) -> GeneratorPart:
    """What one part did, for the result."""
    measured = slice(recording.first, None)
    outcome = recording.outcome[measured]
    lag_us = np.sort((recording.sent - recording.intended)[measured][outcome != Outcome.NOT_SENT]) / 1e3
    failed = ~np.isin(outcome, (Outcome.ANSWERED, Outcome.CUT_OFF))
    has_lag = settings.scenario == "server" and len(lag_us)
    return GeneratorPart(
        part.name,
        requests=len(outcome) - int((outcome == Outcome.CUT_OFF).sum()),
        errors=int(failed.sum()),
        send_lag_p99_us=float(lag_us[rank_of(990, len(lag_us))]) if has_lag else None,
        cpu_share=recording.cpu_s / max(1e-9, (recording.ended_ns - recording.start_ns) / 1e9),
        host=part.host,
        clock_bound_us=said.clock_bound_us,
    )


def _plans(call: Call, bodies: Sequence[bytes], settings: LoadSettings, generators: int) -> list[Plan]:
    """A plan for each generator: its part of the schedule, or of the concurrency; when it starts is told later."""
    parts: list[Schedule] = [nothing_due()] * generators
    shares = [settings] * generators
    if settings.scenario == "server":
        trace_ns = read_trace(settings.trace) if settings.arrivals == "trace" and settings.trace else None
        whole = schedule_of(settings, trace_ns)
        parts = split(whole, generators, settings.seed) if generators > 1 else [whole]
    elif generators > 1 and (settings.scenario != "offline" or settings.concurrency < generators):
        raise UserError(
            f"several generators share a server or an offline test with a request each. Received: {settings.scenario}, "
            f"{settings.outstanding} outstanding, {generators} generators."
        )
    elif generators > 1:
        shares = [
            replace(
                settings,
                concurrency=_share(settings.concurrency, number, generators),
                requests=max(1, _share(settings.requests, number, generators)) if settings.requests else None,
            )
            for number in range(generators)
        ]
    return [Plan(call, bodies, share, part, 0) for share, part in zip(shares, parts, strict=True)]


def _share(whole: int, number: int, parts: int) -> int:
    """One of ``parts`` shares that are as equal as they can be, and together the whole."""
    return whole // parts + (number < whole % parts)

"""A load test of any server, by itself: bodies and an address in, a result with everything that was learned out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import SlipwayError
from pipelines.files import held_scratch
from pipelines.loadtest.hosts import Hosts
from pipelines.loadtest.intervals import Interval, percentile_interval
from pipelines.loadtest.live import Glance
from pipelines.loadtest.measure import Interrupted, measure
from pipelines.loadtest.merge import merge
from pipelines.loadtest.recording import Outcome, Recording, load_recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.several import measure_together
from pipelines.loadtest.statistics import CLAIMS
from pipelines.loadtest.summary import summarise
from pipelines.results import Scenario
from serving.clients import Call, ProtocolError
from serving.clients.transport import Unreachable, send

PROBED = 16
"""Bodies that are sent once before the test: their answers are what later ones are compared with."""
REACH_S = 10.0

Watch = Callable[[float, Glance | None], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is sent where, and what should come back: ``expected`` has one answer a body, or none at all.

    ``generators`` processes send it, each in its network namespace if ``namespaces`` names them; or one on each of
    ``hosts``.
    """

    call: Call
    bodies: Sequence[bytes]
    expected: Sequence[bytes] = ()
    known: dict[int, bytes] = field(default_factory=dict)
    generators: int = 1
    namespaces: Sequence[str] = ()
    hosts: Hosts | None = None

    @property
    def many(self) -> int:
        """How many generators there are."""
        return len(self.hosts.names) if self.hosts else self.generators

    def check(self, index: int, answer: bytes) -> bool:
        """Whether an answer is the expected one; without any, the one that the same body had before."""
        if self.expected:
            return answer == self.expected[index]
        return answer == self.known.setdefault(index, answer)

    def reach(self) -> None:
        """Sends some bodies once. Raises SlipwayError when the server does not answer, or refuses them."""
        for index, body in enumerate(self.bodies[:PROBED]):
            try:
                self.known[index] = send(self.call, body, REACH_S)
            except (Unreachable, ProtocolError) as error:
                raise SlipwayError(f"the server did not answer the first request: {_line(error)}") from error


@dataclass(frozen=True, slots=True)
class Result:
    """One or several runs: ``whole`` is of all their requests together.

    ``latencies_ms`` are sorted, of each run; ``intervals`` maps p50, p90 and p99 to an interval, or to
    why there is none. ``started`` is in seconds since 1970.
    """

    whole: Scenario
    runs: tuple[Scenario, ...]
    latencies_ms: tuple[np.ndarray, ...]
    intervals: dict[str, Interval | str]
    notes: tuple[str, ...]
    started: float


def run(subject: Subject, settings: LoadSettings, repeat: int = 1, watch: Watch | None = None) -> Result:
    """The runs, one after the other, each with the next seed. After an interrupt, what there is, marked partial.

    Raises:
        UserError, SlipwayError: as :func:`pipelines.loadtest.measure.measure` and :meth:`Subject.reach`.
    """
    started = time.time()
    runs: list[Scenario] = []
    recordings: list[Recording] = []
    for number in range(repeat):
        chosen = replace(settings, seed=settings.seed + number)
        try:
            scenario, recording = once(subject, chosen, _scaled(watch, number, repeat))
        except KeyboardInterrupt:
            if not runs:
                raise
            break  # nothing of this run, but the earlier ones are kept
        runs.append(scenario)
        if recording is not None:
            recordings.append(recording)
        if scenario.partial:
            break
    latencies = tuple(_latencies_ms(one) for one in recordings)
    whole = runs[0] if repeat == 1 else _together(runs, recordings, settings, repeat)
    whole, notes = _judged(whole, subject)
    intervals = {name: percentile_interval(latencies, level) for name, level in CLAIMS.items()} if repeat > 1 else {}
    return Result(whole, tuple(runs), latencies, intervals, notes, started)


def once(subject: Subject, settings: LoadSettings, watch: Watch | None = None) -> tuple[Scenario, Recording | None]:
    """One run, and its recording if there is one."""
    share = 0.0

    def progress(now: float) -> None:
        nonlocal share
        share = now

    def look(glance: Glance | None) -> None:
        if watch is not None:
            watch(share, glance)

    with held_scratch("loadtest") as folder:
        if subject.generators > 1 or subject.hosts:
            return measure_together(
                subject.call,
                subject.bodies,
                subject.check,
                settings,
                folder,
                subject.generators,
                subject.namespaces,
                watch or (lambda *_: None),
                subject.hosts,
            )
        try:
            call, bodies = subject.call, subject.bodies
            found = measure(call, bodies, subject.check, settings, folder, progress, watch=look, keep_partial=True)
        except Interrupted as interrupt:
            found = interrupt.scenario
        return found, _recording(folder)


def _recording(folder: Path) -> Recording | None:
    try:
        return load_recording(folder)
    except FileNotFoundError:
        return None  # the generator died, and the scenario says so


def _together(
    runs: Sequence[Scenario], recordings: Sequence[Recording], settings: LoadSettings, repeat: int
) -> Scenario:
    """The result over all requests of all runs; valid if every run is."""
    if not recordings:
        return runs[0]
    checked = sum(one.answers_checked for one in runs)
    matched = sum(round((one.match_share or 0.0) * one.answers_checked) for one in runs)
    whole = summarise(merge(recordings, side_by_side=False), settings, checked, matched)
    reasons = [f"run {number}: {one.invalid_because}" for number, one in enumerate(runs, 1) if one.invalid_because]
    partial = len(runs) < repeat or runs[-1].partial
    if partial:
        reasons.append(f"interrupted in run {len(runs)} of {repeat}")
    first = runs[0]
    seconds = sum(one.duration_s for one in runs)
    rate = sum(one.rate_per_s * one.duration_s for one in runs) / seconds if seconds else 0.0
    stolen = [one.steal_share for one in runs if one.steal_share is not None]
    return replace(
        whole,
        valid=not reasons,
        invalid_because="; ".join(reasons) or None,
        partial=partial,
        duration_s=seconds,
        rate_per_s=rate,
        samples_per_s=rate * settings.batch,
        concurrency=max(one.concurrency for one in runs),
        warmup_requests=sum(one.warmup_requests for one in runs),
        governor=first.governor,
        steal_share=max(stolen) if stolen else None,
        client_cpu_share=max((one.client_cpu_share or 0.0 for one in runs), default=None),
        distinct_inputs=first.distinct_inputs,
        generators=first.generators,
        parts=tuple(part for one in runs for part in one.parts),
        steady_from_s=None,
    )


def _judged(whole: Scenario, subject: Subject) -> tuple[Scenario, tuple[str, ...]]:
    """The result, invalid if answers differ from the expected ones; and what is to be said besides."""
    notes = []
    if whole.match_share is not None and whole.match_share < 1:
        wrong = f"{1 - whole.match_share:.2%} of {whole.answers_checked:,} checked answers differ"
        if subject.expected:
            reason = "; ".join(filter(None, [whole.invalid_because, f"{wrong} from the expected ones"]))
            whole = replace(whole, valid=False, invalid_because=reason)
        else:
            notes.append(f"{wrong} from the first answer to the same body: name the right ones with --expect")
    if whole.distinct_inputs == 1:
        notes.append("one body for all requests: a cache of the server may have answered; give several with --body")
    if whole.closed_loop and whole.name != "offline":
        notes.append("a closed loop waits for a slow server, and hides its stalls: no basis for a tail target")
    return whole, tuple(notes)


def _scaled(watch: Watch | None, number: int, repeat: int) -> Watch | None:
    return None if watch is None else lambda share, glance: watch((number + share) / repeat, glance)


def _latencies_ms(recording: Recording) -> np.ndarray:
    measured = slice(recording.first, None)
    answered = recording.outcome[measured] == Outcome.ANSWERED
    return np.sort((recording.done - recording.intended)[measured][answered]) / 1e6


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def plain_interval(interval: Interval | str) -> dict[str, Any]:
    """An interval for JSON, with the unit of latencies."""
    if isinstance(interval, str):
        return {"reason": interval}
    return {"value_ms": interval.value, "low_ms": interval.low, "high_ms": interval.high, "coverage": interval.coverage}

"""Sends to a running server at chosen rates: one run, the closed loop's rate, and the latency-throughput curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.base.errors import SlipwayError
from pipelines.base.files import scratch
from pipelines.loadtest.generator.carrier import NoAnswerError, ask
from pipelines.loadtest.generator.live import Glance
from pipelines.loadtest.generator.transport import check_call
from pipelines.loadtest.measure import Interrupted, measure
from pipelines.loadtest.recording import Recording, load_recording
from pipelines.loadtest.request import complete
from pipelines.loadtest.settings import LoadSettings
from pipelines.results import CurvePoint, Scenario
from serving.clients import Call

CAPACITY_S = 1.5
CAPACITY_CONCURRENCY = 8
WARMUP_S = 0.3
SHARES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95)
"""Rates of a curve, as shares of the closed loop's rate."""
PROBED = 16
"""The number of bodies that are sent once before the test, so that later answers can be compared."""
REACH_S = 10.0

Watcher = Callable[[float, Glance | None], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """The server under test: the call, its bodies, and one expected answer per body, or none at all."""

    call: Call
    bodies: Sequence[bytes]
    expected: Sequence[bytes] = ()
    known: dict[int, bytes] = field(default_factory=dict)

    def check(self, index: int, answer: bytes) -> bool:
        """Compares an answer with the expected one, or, without any, with the first answer to the same body."""
        if self.expected:
            return answer == self.expected[index]
        return answer == self.known.setdefault(index, answer)

    def reach(self) -> None:
        """Sends some bodies once, as the test will. Raises SlipwayError if an answer does not come, or is no success.

        Raises UserError for a call that cannot be sent.
        """
        call = complete(self.call)
        check_call(call)
        try:
            self.known.update(enumerate(ask(call, self.bodies[:PROBED], REACH_S)))
        except NoAnswerError as error:
            line = " ".join(str(error).split())[:300]
            raise SlipwayError(f"the server did not answer the first request: {line}") from error


def once(subject: Subject, settings: LoadSettings, watcher: Watcher | None = None) -> tuple[Scenario, Recording | None]:
    """Measures once; returns the result, and the recording if there is one."""
    share = 0.0

    def progress(now: float) -> None:
        nonlocal share
        share = now

    def look(glance: Glance | None) -> None:
        if watcher is not None:
            watcher(share, glance)

    with scratch("loadtest") as folder:
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
        return None  # the generator died, and the result says so


def closed_loop_rate(subject: Subject, settings: LoadSettings) -> float:
    """Returns the answers per second with CAPACITY_CONCURRENCY requests in flight.

    Raises:
        SlipwayError: the server answers nothing.
        KeyboardInterrupt: interrupted.
    """
    chosen = replace(
        settings,
        scenario="offline",
        concurrency=CAPACITY_CONCURRENCY,
        duration_s=CAPACITY_S,
        warmup_s=WARMUP_S,
        requests=None,
        min_duration_s=0.0,
        min_requests=0,
    )
    found = uninterrupted(once(subject, chosen)[0])
    if not found.load.rate_per_s:
        raise SlipwayError(f"the server answers nothing: {found.invalid_because}")
    return found.load.rate_per_s


def at_rate(settings: LoadSettings, rate_per_s: float, seconds: float, seed: int) -> LoadSettings:
    """Returns the settings of a run of Poisson arrivals at one rate; batch and timeout are those of ``settings``."""
    return replace(
        settings,
        scenario="server",
        arrivals="poisson",
        rate_per_s=rate_per_s,
        duration_s=seconds,
        warmup_s=0.0,
        seed=seed,
        requests=None,
        min_duration_s=0.0,
        min_requests=0,
    )


def curve(
    subject: Subject, settings: LoadSettings, seconds: float, say: Callable[[str], None]
) -> tuple[CurvePoint, ...]:
    """Measures latency at SHARES of the closed loop's rate, each for ``seconds``. Raises as closed_loop_rate does."""
    capacity = closed_loop_rate(subject, settings)
    points = []
    for share in SHARES:
        rate = capacity * share
        found = uninterrupted(once(subject, at_rate(settings, rate, seconds, settings.seed))[0])
        p50_ms, p99_ms = found.latency.p50_ms, found.latency.p99_ms
        say(f"{rate:,.1f}/s: p50 {_ms(p50_ms)}, p99 {_ms(p99_ms)}")
        points.append(CurvePoint(rate, found.load.rate_per_s, p50_ms, p99_ms))
    return tuple(points)


def uninterrupted(found: Scenario) -> Scenario:
    """Returns the result. Raises KeyboardInterrupt if it is partial."""
    if found.partial:
        raise KeyboardInterrupt
    return found


def _ms(value: float | None) -> str:
    return "unknown (too few answers)" if value is None else f"{value:.3g} ms"

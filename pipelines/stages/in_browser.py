"""Runs the load test's scenarios inside the page of a browser, and reads what the page recorded."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipelines.base.errors import UserError
from pipelines.fairness.observe import Span
from pipelines.fairness.processes import Watch
from pipelines.loadtest.conditions import TickSampler
from pipelines.loadtest.plan.schedule import schedule_of
from pipelines.loadtest.plan.trace import read_trace
from pipelines.loadtest.recording import MAX_KEPT, Recording
from pipelines.loadtest.settings import MAX_REQUESTS, LoadSettings
from pipelines.loadtest.statistics.summary import summarise
from pipelines.paths import Arrays
from pipelines.paths.browser.page import BrowserPage, unpacked
from pipelines.results import Scenario

MAX_KEPT_BYTES = 16 * 2**20
"""Answers that are carried out of the page, as base64."""
NS_PER_MS = 1_000_000
PATIENCE_S = 120.0
"""Time that a backlog may take after the planned end, beside the time-out of a request."""


def measure_in_browser(
    page: BrowserPage,
    inputs: Sequence[Arrays],
    check: Callable[[int, dict[str, np.ndarray]], bool],
    settings: LoadSettings,
    watch: Watch,
) -> tuple[Scenario, Span]:
    """Run one scenario as :func:`pipelines.stages.in_process.measure_in_process` does, inside a page.

    The page's main thread takes requests in the order of arrival, and every time is read there. Returns the result
    and its measured part. The CPU time of all the browser's processes is divided among all requests, those of the
    warm-up included.

    Raises:
        UserError: no inputs.
    """
    if not inputs:
        raise UserError("nothing to predict. Received: no inputs. Give at least one.")
    page.give(inputs)
    zero_ns = page.zero_ns()
    limit_s = settings.warmup_s + settings.patient_s + PATIENCE_S
    with TickSampler() as sampler:
        watch.look()
        found = page.offer(_plan(settings), limit_s, watch.look)
        watch.look()
    recording = _recording(found, zero_ns, watch.used_s(), settings)
    kept = [(int(index), unpacked(answer)) for index, answer in found["kept"]]
    matched = sum(bool(check(index % len(inputs), answer)) for index, answer in kept)
    result = summarise(recording, settings, len(kept), matched, in_process=True, ticks=sampler.ticks)
    return result, (recording.start_ns, recording.stop_ns)


def _plan(settings: LoadSettings) -> dict[str, Any]:
    """Say what to offer, in milliseconds of the page's clock: see harness.js."""
    plan: dict[str, Any] = {
        "scenario": settings.scenario,
        "warmup_ms": settings.warmup_s * 1e3,
        "duration_ms": settings.duration_s * 1e3,
        "requests": settings.requests,
        "least": settings.least,
        "patient_ms": settings.patient_s * 1e3,
        "most": MAX_REQUESTS,
        "outstanding": settings.outstanding,
        "timeout_ms": settings.timeout_s * 1e3,
        "keep": MAX_KEPT,
        "keep_bytes": MAX_KEPT_BYTES,
    }
    if settings.scenario == "server":
        trace_ns = read_trace(settings.trace) if settings.arrivals == "trace" and settings.trace else None
        schedule = schedule_of(settings, trace_ns)
        due_ms = (schedule.offsets_ns / NS_PER_MS).astype(np.float64)
        plan |= {
            "due_ms": base64.b64encode(due_ms.tobytes()).decode(),
            "first": schedule.first,
            "end_ms": schedule.end_ns / NS_PER_MS,
        }
    return plan


def _recording(found: dict[str, Any], zero_ns: int, cpu_s: float, settings: LoadSettings) -> Recording:
    """Return what the page recorded, in the time of ``time.monotonic_ns``."""

    def of(name: str, kind: str) -> np.ndarray:
        return np.frombuffer(base64.b64decode(found[name]), kind)

    def at_ns(value: Any) -> Any:
        return np.rint(np.asarray(value) * NS_PER_MS).astype(np.int64) + zero_ns

    intended, sent, done = (at_ns(of(name, "float64")) for name in ("intended", "sent", "done"))
    first, count = int(found["first"]), len(intended)
    start_ns, stop_ns = int(at_ns(found["start"])), int(at_ns(found["stop"]))
    return Recording(
        intended,
        sent,
        done,
        of("outcome", "int8"),
        np.zeros(count, np.int64),
        np.zeros(count, np.int32),
        first=first,
        start_ns=start_ns,
        stop_ns=stop_ns,
        cpu_s=cpu_s * (count - first) / count if count else 0.0,
        in_flight_limit=0 if settings.scenario == "server" else settings.outstanding,
        error_examples=tuple(found["errors"]),
        ended_ns=int(done.max(initial=stop_ns)),
    )

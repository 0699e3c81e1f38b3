"""Runs one load test against a running server: plan, process, Scenario."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipelines.base.errors import UserError
from pipelines.loadtest.conditions import TickSampler, governor
from pipelines.loadtest.generator.live import Glance, View
from pipelines.loadtest.generator.open_files import check_open_files
from pipelines.loadtest.generator.transport import check_call
from pipelines.loadtest.plan.plan import Plan, save_plan
from pipelines.loadtest.plan.schedule import nothing_due, schedule_of
from pipelines.loadtest.plan.trace import read_trace
from pipelines.loadtest.recording import RECORDING, load_blobs, load_recording
from pipelines.loadtest.request import complete
from pipelines.loadtest.settings import MAX_REQUESTS, LoadSettings
from pipelines.loadtest.statistics.stolen import Tick
from pipelines.loadtest.statistics.summary import nothing_measured, summarise
from pipelines.results import Scenario
from serving.clients import Call
from serving.guard import interrupts_deferred

START_AND_SAVE_S = 60.0
"""Seconds for the generator to start, import and write its files, on a busy machine."""
PROGRESS_S = 0.1
STOP_S = 5.0
"""Seconds for an interrupted generator to write what it has."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a test; ``scenario`` is the result so far, marked partial."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__("interrupted")
        self.scenario = scenario


def measure(
    call: Call,
    bodies: Sequence[bytes],
    check: Callable[[int, bytes], bool],
    settings: LoadSettings,
    folder: Path,
    on_progress: Callable[[float], None] | None = None,
    *,
    watch: Callable[[Glance | None], None] | None = None,
    keep_partial: bool = False,
) -> Scenario:
    """Offers load to the server at ``call.url`` from a process of its own, and returns the result.

    Request i carries ``bodies[i % len(bodies)]``. After the last answer, up to 2,000 answers of the
    measured part, and up to 128 MiB of them (but at least one), spread evenly over the run, are
    checked: ``check(index of the body, bytes of the answer)`` returns whether the answer is right, and its
    exceptions are raised. A run with fewer answers has all of them checked. ``folder`` is an empty folder for
    the plan, the answers and the raw recording; the headers of ``call`` are not written to it.
    ``on_progress`` is called about ten times a second with the share of the time that has passed, 0 to 1, and
    ``watch`` with the state of the test.

    A server that is down, dies, resets connections or never answers causes errors, and an invalid result
    that says why, but never an exception or a test that does not end. The generator's process is ended
    when this function is left, however it is left.

    Raises:
        UserError: no bodies, an invalid trace, a call whose address, path or headers cannot be used, or more
            requests in flight than connections that a process may have open.
        Interrupted: for KeyboardInterrupt, with ``keep_partial`` and if anything was recorded.
    """
    if not bodies:
        raise UserError("nothing to send. Received: no request bodies. Give at least one.")
    call = complete(call)
    check_call(call)
    check_open_files(call, settings)
    schedule = nothing_due()
    if settings.scenario == "server":
        trace_ns = read_trace(settings.trace) if settings.arrivals == "trace" and settings.trace else None
        schedule = schedule_of(settings, trace_ns)
    headers = save_plan(folder, Plan(call, bodies, settings, schedule, os.getpid()))
    view, sampler = View(folder, MAX_REQUESTS), TickSampler()

    def progress(share: float) -> None:
        if on_progress is not None:
            on_progress(share)
        if watch is not None:
            watch(view.glance())

    try:
        with sampler:
            failure = run_generator(folder, headers, settings, progress)
    except KeyboardInterrupt:
        if not keep_partial or not (folder / RECORDING).exists():
            raise
        raise Interrupted(_conclude(folder, bodies, check, settings, sampler.ticks)) from None
    finally:
        view.close()
    if failure is not None:
        return nothing_measured(settings, failure)
    return _conclude(folder, bodies, check, settings, sampler.ticks)


def _conclude(
    folder: Path,
    bodies: Sequence[bytes],
    check: Callable[[int, bytes], bool],
    settings: LoadSettings,
    ticks: Sequence[Tick],
) -> Scenario:
    checked, matched = check_answers(folder, bodies, check)
    result = summarise(load_recording(folder), settings, checked, matched, ticks=ticks)
    load = replace(result.load, distinct_inputs=len(set(bodies)), request_bytes=mean_bytes(bodies))
    return replace(result, load=load, generator=replace(result.generator, governor=governor()))


def mean_bytes(bodies: Sequence[bytes]) -> float:
    """Returns the mean size of the bodies, in bytes; each is sent as often as the others."""
    return sum(map(len, bodies)) / len(bodies)


def check_answers(folder: Path, bodies: Sequence[bytes], check: Callable[[int, bytes], bool]) -> tuple[int, int]:
    """Returns (answers that were checked, those that were right) of a generator's folder."""
    checked = matched = 0
    for index, answer in load_blobs(folder, "answers"):
        checked += 1
        matched += bool(check(index % len(bodies), answer))
    return checked, matched


def run_generator(
    folder: Path,
    headers: str,
    settings: LoadSettings,
    on_progress: Callable[[float], None],
) -> str | None:
    """Runs the generator of a plan to its end; returns None, or why there is no recording."""
    planned_s = settings.warmup_s + settings.duration_s
    # A closed loop waits for its last answers twice, after the warm-up and at the end, and for the least of them.
    limit_s = planned_s + 3 * settings.timeout_s + START_AND_SAVE_S
    log = folder / "generator.log"
    started = time.monotonic()
    with log.open("wb") as output:
        process: subprocess.Popen[bytes] | None = None
        try:
            with interrupts_deferred():
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "pipelines.loadtest.generator.generator", str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches the caller alone, who ends the process
                )
            _tell(process, headers)
            while (elapsed := time.monotonic() - started) < limit_s:
                on_progress(min(1.0, elapsed / planned_s))
                try:
                    process.wait(PROGRESS_S)
                    break
                except subprocess.TimeoutExpired:
                    continue
            code = process.poll()
        except KeyboardInterrupt:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):  # it hangs: it is killed, and leaves nothing
                    process.wait(STOP_S)
            raise
        finally:
            if process is not None:
                process.kill()
                process.wait()
    if code is None:
        return f"the load generator did not end within {limit_s:.0f} s"
    if code:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
        return ": ".join([f"the load generator ended with {how}", *last])
    on_progress(1.0)
    return None


def _tell(process: subprocess.Popen[bytes], text: str) -> None:
    if process.stdin is None:
        raise RuntimeError("the process was started without a pipe for its standard input")
    try:
        process.stdin.write(text.encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has died already: its exit code and its log say why

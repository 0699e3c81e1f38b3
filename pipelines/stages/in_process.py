"""Runs the load test's scenarios against a function of this process, to measure a model without a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from pipelines.base.errors import UserError
from pipelines.loadtest.conditions import TickSampler
from pipelines.loadtest.plan.schedule import NS_PER_S, Schedule, schedule_of
from pipelines.loadtest.plan.trace import read_trace
from pipelines.loadtest.recording import Outcome, Recorder, Recording
from pipelines.loadtest.settings import MAX_REQUESTS, LoadSettings
from pipelines.loadtest.statistics.summary import summarise
from pipelines.paths import Arrays, Predict
from pipelines.results import Scenario


def measure_in_process(
    predict: Predict,
    inputs: Sequence[Arrays],
    check: Callable[[int, dict[str, np.ndarray]], bool],
    settings: LoadSettings,
) -> Scenario:
    """Runs the same scenarios with one worker, the calling thread, which takes requests in the order of arrival.

    Request i is ``predict(inputs[i % len(inputs)])``; an exception of ``predict`` is an error of that request.
    In ``offline`` a request waits while ``concurrency - 1`` others are before it. In ``server`` requests arrive at
    Poisson times, and wait while the worker is busy. A request that has waited ``timeout_s`` is not
    begun; one that takes longer in total counts as timed out, but a running ``predict`` is not
    interrupted. Answers are checked as in :func:`pipelines.loadtest.measure.measure`, after the clock has
    stopped: copies of up to 2,000, and up to 128 MiB. The send lag is how late the idle worker woke.

    Raises:
        UserError: no inputs.
    """
    if not inputs:
        raise UserError("nothing to predict. Received: no inputs. Give at least one.")
    worker, sampler = _Caller(predict, inputs, settings), TickSampler()
    with sampler:
        if settings.scenario == "server":
            trace_ns = read_trace(settings.trace) if settings.arrivals == "trace" and settings.trace else None
            recording = worker.server(schedule_of(settings, trace_ns))
        else:
            recording = worker.closed()
    checked = matched = 0
    for index, answer in worker.recorder.kept():
        checked += 1
        matched += bool(check(index % len(inputs), answer))
    return summarise(recording, settings, checked, matched, in_process=True, ticks=sampler.ticks)


class _Caller:
    def __init__(self, predict: Predict, inputs: Sequence[Arrays], settings: LoadSettings) -> None:
        self._predict, self._inputs, self._settings = predict, inputs, settings
        self._timeout_ns = int(settings.timeout_s * NS_PER_S)
        self._late = f"no answer within {settings.timeout_s:g} s"
        self.recorder: Recorder[dict[str, np.ndarray]] = Recorder(MAX_REQUESTS)

    def _do(self, intended_ns: int, sent_ns: int) -> int:
        """Runs one request; returns when it ended (ns)."""
        recorder = self.recorder
        index = recorder.begin(intended_ns, sent_ns)
        now_ns = time.monotonic_ns()
        if now_ns - intended_ns > self._timeout_ns:
            recorder.end(index, Outcome.TIMED_OUT, now_ns, self._late)
            return now_ns
        try:
            answer = self._predict(self._inputs[index % len(self._inputs)])
        except Exception as error:  # noqa: BLE001 - whatever a runtime raises is this request's error, and is reported
            done_ns = time.monotonic_ns()
            recorder.end(index, Outcome.REFUSED, done_ns, f"{type(error).__name__}: {error}")
            return done_ns
        done_ns = time.monotonic_ns()
        if done_ns - intended_ns > self._timeout_ns:
            recorder.end(index, Outcome.TIMED_OUT, done_ns, self._late)
            return done_ns
        recorder.end(index, Outcome.ANSWERED, done_ns)
        if recorder.wants(index):
            # A copy: some runtimes write the next answer into the same memory.
            copies = {name: np.array(array) for name, array in answer.items()}
            recorder.keep(index, copies, sum(array.nbytes for array in copies.values()))
        return done_ns

    def closed(self) -> Recording:
        if self._settings.warmup_s:
            self._closed_loop(self._settings.warmup_s)
        self.recorder.measure_from(self.recorder.count)
        start_ns, cpu_s = time.monotonic_ns(), time.process_time()
        chosen = self._settings
        stop_ns = self._closed_loop(chosen.duration_s, chosen.requests, chosen.least, chosen.patient_s)
        return self.recorder.finish(start_ns, stop_ns, time.process_time() - cpu_s, self._settings.outstanding)

    def _closed_loop(self, seconds: float, most: int | None = None, least: int = 0, patient_s: float = 0.0) -> int:
        """Takes requests for a time, or up to ``patient_s`` until there are ``least``; returns when that ended (ns)."""
        recorder, outstanding = self.recorder, self._settings.outstanding
        begin, start_ns = recorder.count, time.monotonic_ns()
        now_ns = start_ns
        stop_ns, together_ns = start_ns + int(seconds * NS_PER_S), start_ns
        patient_ns = start_ns + int(patient_s * NS_PER_S)
        last = min(recorder.capacity, begin + most if most else recorder.capacity)
        while recorder.count < last:
            now_ns = time.monotonic_ns()
            if now_ns >= (patient_ns if recorder.count - begin < least else stop_ns):
                break
            # The request that ended `outstanding` requests ago made room for this one.
            made_room = recorder.count - outstanding
            intended_ns = now_ns
            if self._settings.scenario == "multi-stream":
                # A query is sent whole; the next one when it is answered.
                if (recorder.count - begin) % outstanding == 0:
                    together_ns = now_ns
                intended_ns = together_ns
            elif outstanding > 1:
                intended_ns = int(recorder.done[made_room]) if made_room >= begin else start_ns
            self._do(intended_ns, intended_ns)
        return min(stop_ns, now_ns)

    def server(self, schedule: Schedule) -> Recording:
        recorder, first = self.recorder, schedule.first
        recorder.measure_from(first)
        begin_ns = time.monotonic_ns()
        cpu_s = time.process_time()
        for index, intended_ns in enumerate((schedule.offsets_ns + begin_ns).tolist()):
            if index == first:
                cpu_s = time.process_time()
            sent_ns = intended_ns
            while (now_ns := time.monotonic_ns()) < intended_ns:
                time.sleep((intended_ns - now_ns) / NS_PER_S)
                sent_ns = time.monotonic_ns()  # idle until now: it could have begun on time
            self._do(intended_ns, sent_ns)
        start_ns = begin_ns + int(self._settings.warmup_s * NS_PER_S)
        stop_ns = begin_ns + schedule.end_ns
        return recorder.finish(start_ns, stop_ns, time.process_time() - cpu_s, 0)

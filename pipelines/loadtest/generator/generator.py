"""``python -m pipelines.loadtest.generator.generator FOLDER``: the process that sends, and does nothing else.

It reads the plan (:mod:`pipelines.loadtest.plan.plan`), sends, and leaves the recording and a sample of the
answers in the folder. It does not read the answers: that would take CPU time from the server under test.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.loadtest.generator.carrier import new_event_loop, transport_of
from pipelines.loadtest.generator.live import open_view
from pipelines.loadtest.generator.open_files import in_flight_limit, raise_limit
from pipelines.loadtest.generator.priority import settle
from pipelines.loadtest.generator.sockets import switched_on
from pipelines.loadtest.generator.wakeup import alarm
from pipelines.loadtest.plan.plan import Plan, load_plan
from pipelines.loadtest.plan.schedule import NS_PER_S
from pipelines.loadtest.recording import Outcome, Recorder, Recording, save_blobs, save_recording
from pipelines.loadtest.settings import MAX_REQUESTS
from serving.guard import tie_to_parent

LEAD_NS = 20_000_000
"""Time between making the schedule and its start."""
BURST = 32
"""Requests sent in one turn of the event loop, before it reads answers again."""
SWEEP_S = 0.05
ERROR_PAUSE_S = 0.01
"""Pause of a closed loop after an error: a server that is down refuses thousands of connections a second."""


class Sender:
    """Sends one test and records it. Every request ends: answered, failed, or timed out by the sweep."""

    def __init__(self, plan: Plan, recorder: Recorder[bytes], in_flight_limit: int) -> None:
        self.settings = plan.settings
        self.schedule = plan.schedule
        self.recorder = recorder
        self.in_flight_limit = in_flight_limit
        self._loop = asyncio.get_running_loop()
        self._transport = transport_of(plan.call, plan.bodies, self._finished)
        self._timeout_ns = int(plan.settings.timeout_s * NS_PER_S)
        self._in_flight: dict[int, int] = {}  # request -> time of sending; dicts keep the order of sending
        self._next: Callable[[bool], None] | None = None  # a closed loop's action when a request has ended
        self._sending = True
        self.stopped_ns = 0  # time of the interrupt
        self._all_done = self._loop.create_future()

    def send(self, intended_ns: int, now_ns: int) -> None:
        index = self.recorder.begin(intended_ns, now_ns)
        if len(self._in_flight) >= self.in_flight_limit:
            text = f"not sent: {self.in_flight_limit:,} requests were already unanswered"
            self.recorder.end(index, Outcome.NOT_SENT, now_ns, text)
            return
        self._in_flight[index] = now_ns
        self._transport.send(index)

    def _finished(
        self, index: int, outcome: Outcome, done_ns: int, answer: bytes, error: str, first_ns: int = 0
    ) -> None:
        sent_ns = self._in_flight.pop(index)
        if done_ns < sent_ns:  # the wall clock, which the kernel's stamps use, has just been set
            done_ns, first_ns = sent_ns, sent_ns if first_ns else 0
        self.recorder.end(index, outcome, done_ns, error, first_ns, len(answer))
        if outcome is Outcome.ANSWERED and self.recorder.wants(index):
            self.recorder.keep(index, answer, len(answer))
        if self._next is not None:
            self._next(outcome is Outcome.ANSWERED)
        self._check_done()

    def _check_done(self) -> None:
        if not self._sending and not self._in_flight and not self._all_done.done():
            self._all_done.set_result(None)

    async def _sweep(self) -> None:
        """Times out requests that are unanswered for too long; the oldest come first, so it mostly looks at one."""
        text = f"no answer within {self.settings.timeout_s:g} s"
        while True:
            await asyncio.sleep(min(SWEEP_S, self.settings.timeout_s / 4))
            now = time.monotonic_ns()
            late = []
            for index, sent_ns in self._in_flight.items():
                if now - sent_ns < self._timeout_ns:
                    break
                late.append(index)
            for index in late:
                self._transport.abort(index)
                self._finished(index, Outcome.TIMED_OUT, now, b"", text)

    def stop(self) -> None:
        """Ends the test at once: unanswered requests are cut off, finished ones are kept."""
        if self.stopped_ns:
            return
        self.stopped_ns, self._sending, self._next = time.monotonic_ns(), False, None
        for index in list(self._in_flight):
            self._transport.abort(index)
            del self._in_flight[index]
            self.recorder.end(index, Outcome.CUT_OFF, self.stopped_ns, "cut off")
        self._check_done()

    async def closed_loop(self, seconds: float, most: int | None = None, least: int = 0, patient_s: float = 0.0) -> int:
        """Keeps requests in flight for a time, or until ``most`` were sent, and waits for the last.

        Until ``least`` were sent it goes on, for at most ``patient_s`` from the start.

        In ``multi-stream`` they are sent together, and the next ones when all are answered. Returns when
        sending stopped (ns).
        """
        self._begin_phase()
        begin, start_ns = self.recorder.count, time.monotonic_ns()
        stop_ns, patient_ns = start_ns + int(seconds * NS_PER_S), start_ns + int(patient_s * NS_PER_S)
        last = min(self.recorder.capacity, self.recorder.count + most if most else self.recorder.capacity)
        together = self.settings.outstanding if self.settings.scenario == "multi-stream" else 1
        slots = self.settings.outstanding // together  # those that have not stopped
        waiting = 0  # answers to the query under way

        def again() -> None:
            nonlocal slots, waiting
            now = time.monotonic_ns()
            if not self._sending:
                return
            until_ns = patient_ns if self.recorder.count - begin < least else stop_ns
            if now < until_ns and self.recorder.count + together <= last:
                waiting = together
                for _ in range(together):
                    self.send(now, time.monotonic_ns() if together > 1 else now)
            else:
                slots -= 1
                self._sending = slots > 0
                self._check_done()

        def ended(answered: bool) -> None:
            nonlocal waiting
            waiting -= 1
            if together > 1 and waiting:
                return
            if answered:
                again()
            else:
                self._loop.call_later(ERROR_PAUSE_S, again)

        self._next = ended
        for _ in range(slots):
            again()
        await self._all_done
        return min(stop_ns, self.stopped_ns or time.monotonic_ns())

    async def open_loop(self, due_ns: np.ndarray, at: dict[int, Callable[[], None]]) -> None:
        """Sends at the given times, whatever comes back, and waits for the last; calls ``at[i]`` before request i."""
        self._begin_phase()
        due = due_ns.tolist()
        position = 0

        def wake() -> None:
            nonlocal position
            for _ in range(BURST):
                if self.stopped_ns:
                    return
                if position == len(due):
                    self._sending = False
                    self._check_done()
                    return
                now = time.monotonic_ns()
                if due[position] > now:
                    break
                if position in at:
                    at[position]()
                self.send(due[position], now)
                position += 1
            clock.set(due[position] if position < len(due) else 0)

        clock = alarm(self._loop, wake)
        try:
            wake()
            await self._all_done
        finally:
            clock.close()

    def _begin_phase(self) -> None:
        self._next, self._sending, self._all_done = None, True, self._loop.create_future()

    async def run(self) -> Recording:
        self._loop.add_signal_handler(signal.SIGINT, self.stop)
        sweep = self._loop.create_task(self._sweep())
        try:
            work = self._open if self.settings.scenario == "server" else self._closed
            done = self._loop.create_task(work())
            await asyncio.wait((sweep, done), return_when=asyncio.FIRST_COMPLETED)
            if sweep.done():
                sweep.result()  # raises the sweep's error: without the sweep, the test might never end
            return done.result()
        finally:
            sweep.cancel()
            await self._transport.close()

    async def _closed(self) -> Recording:
        if self.settings.warmup_s and not self.stopped_ns:
            await self.closed_loop(self.settings.warmup_s)
        start_ns, cpu_s = time.monotonic_ns(), time.process_time()
        self.recorder.measure_from(self.recorder.count)
        stop_ns = start_ns
        if not self.stopped_ns:
            chosen = self.settings
            stop_ns = await self.closed_loop(chosen.duration_s, chosen.requests, chosen.least, chosen.patient_s)
        return self._finish(start_ns, stop_ns, cpu_s)

    def _finish(self, start_ns: int, stop_ns: int, cpu_s: float) -> Recording:
        used_s = time.process_time() - cpu_s
        return self.recorder.finish(start_ns, stop_ns, used_s, self.in_flight_limit, bool(self.stopped_ns))

    async def _open(self) -> Recording:
        schedule, warmup_ns = self.schedule, int(self.settings.warmup_s * NS_PER_S)
        begin_ns = time.monotonic_ns() + LEAD_NS
        cpu_s = time.process_time()

        def measured() -> None:
            nonlocal cpu_s
            cpu_s = time.process_time()
            self.recorder.measure_from(schedule.first)

        await self.open_loop(schedule.offsets_ns + begin_ns, {schedule.first: measured})
        start_ns, stop_ns = begin_ns + warmup_ns, begin_ns + schedule.end_ns
        if self.stopped_ns:
            stop_ns = max(start_ns, min(stop_ns, self.stopped_ns))
        return self._finish(start_ns, stop_ns, cpu_s)


def main(folder: Path) -> None:
    plan = load_plan(folder, sys.stdin.read())
    tie_to_parent(plan.parent_pid)  # a caller that is killed leaves no generator behind, either
    raise_limit()
    limit = in_flight_limit(plan.call)
    recorder: Recorder[bytes] = Recorder(MAX_REQUESTS, open_view(folder, MAX_REQUESTS))
    cpus, priority = settle()

    async def work() -> Recording:
        return await Sender(plan, recorder, limit).run()

    gc.collect()
    gc.freeze()  # later collections need not look at the modules and the bodies
    with switched_on(), asyncio.Runner(loop_factory=new_event_loop) as runner:
        recording = runner.run(work())
    kept = recorder.kept()
    save_blobs(folder, "answers", [index for index, _ in kept], (answer for _, answer in kept))
    save_recording(folder, replace(recording, cpus=cpus, priority=priority))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # do not wait for gRPC's threads: everything is on disk

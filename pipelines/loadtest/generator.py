"""``python -m pipelines.loadtest.generator FOLDER``: the process that sends, and does nothing else.

It reads the plan (:mod:`pipelines.loadtest.plan`), sends, and leaves the recording and a sample of the
answers in the folder. It looks into no answer: that would take CPU time from the server under test.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipelines.loadtest.plan import Plan, load_plan
from pipelines.loadtest.recording import Outcome, Recorder, Recording, save_blobs, save_recording
from pipelines.loadtest.schedule import NS_PER_S, poisson_arrivals
from pipelines.loadtest.settings import MAX_IN_FLIGHT, MAX_REQUESTS
from pipelines.loadtest.transport import Transport
from pipelines.loadtest.wakeup import alarm
from serving.guard import tie_to_parent

LEAD_NS = 20_000_000
"""Between the making of the schedule and its start."""
BURST = 32
"""Requests sent in one turn of the event loop, before it reads answers again."""
SWEEP_S = 0.05
ERROR_PAUSE_S = 0.01
"""A closed loop pauses after an error: a server that is down refuses thousands of connections a second."""
SPARE_FILES = 64


class Run:
    """One test: sends, and notes what happens. Every request ends: answered, failed, or timed out by the sweep."""

    def __init__(self, plan: Plan, recorder: Recorder[bytes], in_flight_limit: int) -> None:
        self.settings = plan.settings
        self.recorder = recorder
        self.in_flight_limit = in_flight_limit
        self._loop = asyncio.get_running_loop()
        self._transport = _transport(plan, self._finished)
        self._timeout_ns = int(plan.settings.timeout_s * NS_PER_S)
        self._in_flight: dict[int, int] = {}  # request -> when it was sent; dicts keep the order of sending
        self._next: Callable[[bool], None] | None = None  # what a closed loop does when a request has ended
        self._sending = True
        self._all_done = self._loop.create_future()

    def send(self, intended_ns: int, now_ns: int) -> None:
        index = self.recorder.begin(intended_ns, now_ns)
        if len(self._in_flight) >= self.in_flight_limit:
            text = f"not sent: {self.in_flight_limit:,} requests were already unanswered"
            self.recorder.end(index, Outcome.NOT_SENT, now_ns, text)
            return
        self._in_flight[index] = now_ns
        self._transport.send(index)

    def _finished(self, index: int, outcome: Outcome, done_ns: int, answer: bytes, error: str) -> None:
        del self._in_flight[index]
        self.recorder.end(index, outcome, done_ns, error)
        if outcome is Outcome.ANSWERED and self.recorder.wants(index):
            self.recorder.keep(index, answer, len(answer))
        if self._next is not None:
            self._next(outcome is Outcome.ANSWERED)
        self._check_done()

    def _check_done(self) -> None:
        if not self._sending and not self._in_flight and not self._all_done.done():
            self._all_done.set_result(None)

    async def _sweep(self) -> None:
        """Times out what is unanswered for too long; the oldest come first, so it mostly looks at one."""
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

    async def closed_loop(self, seconds: float) -> int:
        """Keeps requests outstanding for a time and waits for the last; returns when sending stopped (ns)."""
        self._begin_phase()
        stop_ns = time.monotonic_ns() + int(seconds * NS_PER_S)
        slots = self.settings.outstanding  # those that have not stopped

        def again() -> None:
            nonlocal slots
            now = time.monotonic_ns()
            if now < stop_ns and self.recorder.count < self.recorder.capacity:
                self.send(now, now)
            else:
                slots -= 1
                self._sending = slots > 0
                self._check_done()

        def ended(answered: bool) -> None:
            if answered:
                again()
            else:
                self._loop.call_later(ERROR_PAUSE_S, again)

        self._next = ended
        for _ in range(self.settings.outstanding):
            again()
        await self._all_done
        return min(stop_ns, time.monotonic_ns())

    async def open_loop(self, due_ns: np.ndarray, at: dict[int, Callable[[], None]]) -> None:
        """Sends at the given moments whatever comes back, and waits for the last; calls ``at[i]`` before request i."""
        self._begin_phase()
        due = due_ns.tolist()
        position = 0

        def wake() -> None:
            nonlocal position
            for _ in range(BURST):
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
        sweep = self._loop.create_task(self._sweep())
        try:
            work = self._open if self.settings.scenario == "server" else self._closed
            done = self._loop.create_task(work())
            await asyncio.wait((sweep, done), return_when=asyncio.FIRST_COMPLETED)
            if sweep.done():
                sweep.result()  # raises what broke it: without it, the test might never end
            return done.result()
        finally:
            sweep.cancel()
            await self._transport.close()

    async def _closed(self) -> Recording:
        if self.settings.warmup_s:
            await self.closed_loop(self.settings.warmup_s)
        self.recorder.measure_from(self.recorder.count)
        start_ns, cpu_s = time.monotonic_ns(), time.process_time()
        stop_ns = await self.closed_loop(self.settings.duration_s)
        return self.recorder.finish(start_ns, stop_ns, time.process_time() - cpu_s, self.in_flight_limit)

    async def _open(self) -> Recording:
        settings = self.settings
        offsets = server_schedule(settings.rate_per_s or 0.0, settings.warmup_s + settings.duration_s, settings.seed)
        warmup_ns = int(settings.warmup_s * NS_PER_S)
        first = int(np.searchsorted(offsets, warmup_ns))
        self.recorder.measure_from(first)
        begin_ns = time.monotonic_ns() + LEAD_NS
        cpu_s = time.process_time()

        def note_cpu() -> None:
            nonlocal cpu_s
            cpu_s = time.process_time()

        await self.open_loop(offsets + begin_ns, {first: note_cpu})
        start_ns = begin_ns + warmup_ns
        stop_ns = start_ns + int(settings.duration_s * NS_PER_S)
        return self.recorder.finish(start_ns, stop_ns, time.process_time() - cpu_s, self.in_flight_limit)


def server_schedule(rate_per_s: float, seconds: float, seed: int) -> np.ndarray:
    """The arrivals of one test, bounded in count whatever chance does."""
    return poisson_arrivals(rate_per_s, seconds, seed)[:MAX_REQUESTS]


def _transport(plan: Plan, finished: Callable[[int, Outcome, int, bytes, str], None]) -> Transport:
    if plan.call.url.startswith("grpc://"):
        from pipelines.loadtest.grpc_transport import GrpcTransport

        return GrpcTransport(plan.call, plan.bodies, finished)
    from pipelines.loadtest.http_transport import HttpTransport

    return HttpTransport(plan.call, plan.bodies, finished)


def in_flight_limit() -> int:
    """How many requests may be unanswered: bounded by the connections that this process may have open."""
    try:
        import resource
    except ImportError:  # not a Unix
        return min(MAX_IN_FLIGHT, 500)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_IN_FLIGHT + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_IN_FLIGHT if soft == resource.RLIM_INFINITY else max(1, min(MAX_IN_FLIGHT, soft - SPARE_FILES))


def new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # it does not exist for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main(folder: Path) -> None:
    plan = load_plan(folder, sys.stdin.read())
    tie_to_parent(plan.parent_pid)  # also a caller that is killed leaves no generator behind
    limit = in_flight_limit()
    recorder: Recorder[bytes] = Recorder(MAX_REQUESTS)

    async def work() -> Recording:
        return await Run(plan, recorder, limit).run()

    gc.collect()
    gc.freeze()  # later collections need not look at the modules and the bodies
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        recording = runner.run(work())
    kept = recorder.kept()
    save_blobs(folder, "answers", [index for index, _ in kept], (answer for _, answer in kept))
    save_recording(folder, recording)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # gRPC's threads need not be waited for: everything is on disk

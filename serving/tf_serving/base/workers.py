"""Run an event loop's jobs in threads, and pass their results back to the loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

Job = Callable[[], None]


class Outbox:
    """A queue of jobs for the event loop's thread; several jobs posted together wake it only once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: deque[Job] = deque()
        self._is_called = False

    def post(self, job: Job) -> None:
        """Queue a job for the event loop's thread; jobs run in the order of posting."""
        self._jobs.append(job)
        if not self._is_called:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        self._is_called = False  # set first, so that a job posted from now on schedules another run
        for _ in range(len(self._jobs)):
            try:
                self._jobs.popleft()()
            except Exception:
                log.exception("Unexpected error")


class Workers:
    """A fixed number of threads that keeps as few as possible busy: the thread that became idle last is woken first.

    Its core's cache is still warm. When eight threads took turns, two concurrent requests of 12 ms each sometimes
    shared one core while the other was free: 145 requests a second instead of 156.
    """

    def __init__(self, count: int, name: str) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._idle: list[_Worker] = []
        self.busy = 0  # jobs that wait or run
        for number in range(count):
            worker = _Worker()
            self._idle.append(worker)
            threading.Thread(target=self._work, args=(worker,), name=f"{name}-{number}", daemon=True).start()

    def do(self, job: Job) -> None:
        """Give a job to one of the threads."""
        with self._lock:
            self.busy += 1
            if not self._idle:
                self._waiting.append(job)
                return
            worker = self._idle.pop()
        worker.job = job
        worker.wake.release()

    def _work(self, worker: _Worker) -> None:
        while True:
            worker.wake.acquire()
            job, worker.job = worker.job, None
            while job is not None:
                try:
                    job()
                except Exception:
                    log.exception("Unexpected error")
                job = self._next(worker)

    def _next(self, worker: _Worker) -> Job | None:
        with self._lock:
            self.busy -= 1
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(worker)
            return None


class _Worker:
    """The job of one thread, and the lock that wakes it."""

    __slots__ = ("job", "wake")

    def __init__(self) -> None:
        self.job: Job | None = None
        self.wake = threading.Lock()
        self.wake.acquire()

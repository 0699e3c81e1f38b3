"""Queue tasks in batches, and run the batches in the scheduler's threads.

The rules are those of tensorflow/core/kernels/batching_util/shared_batch_scheduler.h. A queue is a list of
batches; the last one is open. A task goes into the open batch, or into a new one if it does not fit. A batch
is due when another batch follows it, when it is full, or when its first task has waited for the time-out.
The threads take due batches from the queues in turn.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from serving.tf_serving.base.errors import ServingError, invalid
from serving.tf_serving.settings.batching import BatchingParameters

_FULL = "The batch scheduling queue to which this task was submitted is full; "


class BatchTask:
    """A request, or a part of one, in a queue. ``ended`` is called once ``outputs`` or ``error`` is set.

    ``is_gone`` tells whether nobody waits for it any more.
    """

    __slots__ = ("arrays", "deadline", "ended", "enqueued", "error", "has_begun", "is_gone", "outputs", "size")

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        size: int,
        deadline: float | None,
        ended: Callable[[], None],
        is_gone: Callable[[], bool] = lambda: False,
    ) -> None:
        self.arrays = arrays
        self.size = size
        self.deadline = deadline
        self.enqueued = time.monotonic()
        self.outputs: Mapping[str, np.ndarray] = {}
        self.error: ServingError | None = None
        self.has_begun = False
        self.ended = ended
        self.is_gone = is_gone


class Batch:
    """Tasks that run together; ``size`` is the number of their rows."""

    __slots__ = ("due", "size", "tasks")

    def __init__(self) -> None:
        self.tasks: list[BatchTask] = []
        self.size = 0
        self.due = float("inf")  # time at which its first task reaches the time-out


class Queue:
    """The tasks of one kind. Its methods are called with the scheduler's lock held."""

    def __init__(self, parameters: BatchingParameters, process: Callable[[Sequence[BatchTask]], None]) -> None:
        self._parameters = parameters
        self.process = process
        self._batches: deque[Batch] = deque([Batch()])

    def room_in_open_batch(self) -> int:
        """Return the number of rows that still fit into the open batch."""
        return self._parameters.max_execution_batch_size - self._batches[-1].size

    def check(self, size: int) -> None:
        """Check that the queue can take a task of ``size`` rows.

        Raises:
            ServingError: INVALID_ARGUMENT, it never can; UNAVAILABLE, it cannot now.
        """
        limits = self._parameters
        if size > limits.max_batch_size:
            raise invalid(f"Task size {size} is larger than maximum input batch size {limits.max_batch_size}")
        enqueued = len(self._batches)
        if limits.enable_large_batch_splitting:
            new_batches = limits.max_enqueued_batches - enqueued
            capacity = new_batches * limits.max_execution_batch_size + self.room_in_open_batch()
            if size > capacity:
                message = f"task size is {size} but scheduling capacity is only {capacity}"
                raise ServingError("UNAVAILABLE", _FULL + message)
        elif size > self.room_in_open_batch() and enqueued >= limits.max_enqueued_batches:
            message = f"currently {enqueued} batches enqueued and max_enqueued_batches is {limits.max_enqueued_batches}"
            raise ServingError("UNAVAILABLE", _FULL + message)

    def add(self, task: BatchTask) -> None:
        """Put a checked task into the open batch or a new one."""
        if task.size > self.room_in_open_batch():
            self._batches.append(Batch())
        batch = self._batches[-1]
        if not batch.tasks:
            batch.due = task.enqueued + self._parameters.batch_timeout_micros / 1e6
        batch.tasks.append(task)
        batch.size += task.size

    def due(self) -> float:
        """Return the due time of the first batch on the monotonic clock: 0 for now, infinity if there is none."""
        first = self._batches[0]
        if len(self._batches) > 1 or first.size >= self._parameters.max_execution_batch_size:
            return 0.0
        return first.due

    def take(self) -> Batch:
        """Remove the first batch and return it."""
        if len(self._batches) == 1:
            self._batches.append(Batch())
        return self._batches.popleft()

    def is_empty(self) -> bool:
        return not self._batches[0].tasks


class Scheduler:
    """The queues of one server, and the threads that process their batches. Thread-safe."""

    def __init__(self, parameters: BatchingParameters) -> None:
        self.parameters = parameters
        self._queues: deque[Queue] = deque()  # the queues with tasks; the first is the next to check
        self._changed = threading.Condition(threading.Lock())
        self._idle = 0
        for number in range(parameters.num_batch_threads):
            threading.Thread(target=self._work, name=f"{parameters.thread_pool_name}-{number}", daemon=True).start()

    def submit(self, queue: Queue, size: int, split: Callable[[int], Sequence[BatchTask]]) -> None:
        """Enqueue a request of ``size`` rows; ``split`` makes its tasks, given the room in the open batch.

        Raises:
            ServingError: it is too large, or the queue is full.
        """
        with self._changed:
            queue.check(size)
            tasks = split(queue.room_in_open_batch())
            is_new = queue.is_empty()
            due = queue.due()
            for task in tasks:
                queue.add(task)
            if is_new:
                self._queues.append(queue)
            # Wake a thread only if the time at which it must wake up has changed.
            if self._idle and queue.due() != due:
                self._changed.notify()

    def _work(self) -> None:
        while True:
            queue, batch = self._next()
            queue.process(batch.tasks)
            del queue, batch  # a waiting thread must not keep an unloaded model in memory

    def _next(self) -> tuple[Queue, Batch]:
        with self._changed:
            while True:
                now, wake = time.monotonic(), float("inf")
                for _ in range(len(self._queues)):
                    queue = self._queues[0]
                    self._queues.rotate(-1)  # in turn
                    due = queue.due()
                    if due <= now:
                        batch = queue.take()
                        if queue.is_empty():
                            self._queues.remove(queue)
                        elif self._idle:
                            self._changed.notify()
                        return queue, batch
                    wake = min(wake, due)
                self._idle += 1
                self._changed.wait(None if wake == float("inf") else wake - now)
                self._idle -= 1

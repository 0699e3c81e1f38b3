"""Run requests to one signature together: merge them, pad them, run the model once and split the outputs.

Rules and messages are those of tensorflow/serving (batching/batching_session.cc, batching_util.cc): only
requests for the same outputs of the same signature and version are merged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from serving.tf_serving.base import metrics
from serving.tf_serving.base.deadlines import deadline, leaving
from serving.tf_serving.base.dtypes import Arrays
from serving.tf_serving.base.errors import ServingError, invalid
from serving.tf_serving.runtime.padding import to_common_shape
from serving.tf_serving.runtime.queue import BatchTask, Queue, Scheduler
from serving.tf_serving.settings.batching import BatchingParameters

Run = Callable[[Arrays, Sequence[str]], Arrays]

_SIZES = metrics.exponential(1, 2, 14)
_SESSION = "/tensorflow/serving/batching_session"
INPUT_BATCH_SIZE = metrics.Histogram(f"{_SESSION}/input_batch_size", limits=_SIZES)
PROCESSED_BATCH_SIZE = metrics.Histogram(f"{_SESSION}/processed_batch_size", limits=_SIZES)
PADDING_SIZE = metrics.Histogram(f"{_SESSION}/padding_size", "execution_batch_size", limits=_SIZES)
QUEUING_LATENCY = metrics.Histogram(
    f"{_SESSION}/queuing_latency", "thread_pool_name", limits=metrics.exponential(100, 1.2, 52)
)


class Waiting:
    """A request with tasks in the queue. The thread that ends its last task calls ``ended`` with it."""

    __slots__ = ("_ended", "_left", "_lock", "_wanted", "tasks")

    def __init__(self, wanted: Sequence[str], ended: Callable[[Waiting], None]) -> None:
        self.tasks: Sequence[BatchTask] = ()
        self._wanted = wanted
        self._left = 0
        self._lock = threading.Lock()
        self._ended = ended

    def consist_of(self, tasks: Sequence[BatchTask]) -> Sequence[BatchTask]:
        """Set its tasks, before any of them can run."""
        self.tasks, self._left = tasks, len(tasks)
        return tasks

    def task_ended(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        self._ended(self)

    def outputs(self) -> Arrays:
        """Return the outputs, once all tasks have ended. Raises the ServingError of a failed task."""
        for task in self.tasks:
            if task.error is not None:
                raise task.error
        if len(self.tasks) == 1:
            return self.tasks[0].outputs
        return {alias: np.concatenate([task.outputs[alias] for task in self.tasks]) for alias in self._wanted}


class Batcher:
    """Batches requests to one signature of one version. ``names`` maps input aliases to graph names, for messages."""

    def __init__(self, scheduler: Scheduler, run: Run, names: Mapping[str, str]) -> None:
        self._scheduler = scheduler
        self._run = run
        self._names = names
        self._queues: dict[tuple[str, ...], Queue] = {}

    def run(self, arrays: Arrays, wanted: Sequence[str]) -> Arrays:
        """Run the arrays as part of a batch, and return the wanted outputs.

        Raises:
            ServingError: from the model or :meth:`submit`; RESOURCE_EXHAUSTED, if the deadline of this thread's
                request passed while it waited.
        """
        limit, done = deadline(), threading.Lock()  # a lock is the cheapest object to wait for: one futex
        done.acquire()
        waiting = self.submit(arrays, wanted, limit, lambda _: done.release())
        if limit is None:
            done.acquire()
        elif not done.acquire(timeout=max(0.0, limit - time.monotonic())):
            if not all(task.has_begun for task in waiting.tasks):
                raise _too_late()  # it stays in the queue, but its outputs are never read
            done.acquire()
        return waiting.outputs()

    def submit(
        self, arrays: Arrays, wanted: Sequence[str], limit: float | None, ended: Callable[[Waiting], None]
    ) -> Waiting:
        """Put a request into the queue; a thread of the scheduler calls ``ended`` when it has run.

        Raises:
            ServingError: INVALID_ARGUMENT, inputs that cannot be batched or are too large; UNAVAILABLE, a full queue.
        """
        size = _rows(arrays)
        for _ in arrays:
            INPUT_BATCH_SIZE.observe(value=size)
        waiting = Waiting(wanted, ended)
        is_gone = leaving()

        def task(part: Arrays, rows: int) -> BatchTask:
            return BatchTask(part, rows, limit, waiting.task_ended, is_gone)

        def split(room: int) -> Sequence[BatchTask]:
            return waiting.consist_of(self._split(arrays, size, room, task))

        self._scheduler.submit(self._queue(wanted), size, split)
        return waiting

    def _queue(self, wanted: Sequence[str]) -> Queue:
        key = tuple(sorted(wanted))
        queue = self._queues.get(key)
        if queue is None:
            made = Queue(self._scheduler.parameters, lambda tasks: self._process(tasks, key))
            queue = self._queues.setdefault(key, made)
        return queue

    def _split(self, arrays: Arrays, size: int, room: int, task: Callable[[Arrays, int], BatchTask]) -> list[BatchTask]:
        parameters = self._scheduler.parameters
        if size <= room or not parameters.enable_large_batch_splitting:
            return [task(arrays, size)]
        tasks, start = [], 0
        while start < size:
            stop = min(size, start + (room if start == 0 and room else parameters.max_execution_batch_size))
            part = {alias: array[start:stop] for alias, array in arrays.items()}
            tasks.append(task(part, stop - start))
            start = stop
        return tasks

    def _process(self, tasks: Sequence[BatchTask], wanted: Sequence[str]) -> None:
        alive = []
        for task in tasks:
            if task.is_gone():
                task.error = ServingError("CANCELLED", "the client is gone")
            else:
                alive.append(task)
        try:
            if alive:
                self._answer(alive, wanted)
        except ServingError as error:
            for task in alive:
                task.error = error
        except Exception as error:  # noqa: BLE001 - a model's exception must not end the scheduler's thread
            for task in alive:
                task.error = ServingError("INTERNAL", f"{type(error).__name__}: {error}")
        finally:
            for task in tasks:
                task.ended()

    def _answer(self, tasks: Sequence[BatchTask], wanted: Sequence[str]) -> None:
        now, parameters = time.monotonic(), self._scheduler.parameters
        for task in tasks:
            task.has_begun = True
            QUEUING_LATENCY.observe(parameters.thread_pool_name, value=(now - task.enqueued) * 1e6)
        if all(task.deadline is not None and task.deadline <= now for task in tasks):
            raise _too_late()
        size = sum(task.size for task in tasks)
        padded = parameters.padded(size) if size else 0
        PADDING_SIZE.observe(str(padded), value=padded - size)
        PROCESSED_BATCH_SIZE.observe(value=padded)
        merged = _merge([task.arrays for task in tasks], self._names, padded - size, parameters)
        outputs = self._run(merged, wanted)
        _check_outputs(outputs, padded)
        start = 0
        for task in tasks:
            task.outputs = {alias: array[start : start + task.size] for alias, array in outputs.items()}
            start += task.size


def _too_late() -> ServingError:
    return ServingError("RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue")


def _rows(arrays: Arrays) -> int:
    if not arrays:
        raise invalid("Batching Run() must have at least one input tensor")
    if any(array.ndim == 0 for array in arrays.values()):
        raise invalid("Batching Run() input tensors must have at least one dimension")
    sizes = {len(array) for array in arrays.values()}
    if len(sizes) > 1:
        raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def _merge(
    requests: Sequence[Arrays], names: Mapping[str, str], padding: int, parameters: BatchingParameters
) -> dict[str, np.ndarray]:
    merged = {}
    for alias in requests[0]:
        parts = [request[alias] for request in requests]
        if any(part.shape[1:] != parts[0].shape[1:] for part in parts):
            if not parameters.pad_variable_length_inputs:
                raise ServingError(
                    "FAILED_PRECONDITION",
                    f"Tensors with name '{names[alias]}' from different tasks have different shapes and padding is "
                    "turned off. Set pad_variable_length_inputs to true, or ensure that all tensors with the same name "
                    "have equal dimensions starting with the first dim.",
                )
            parts = to_common_shape(parts)
        if padding:
            # Pad with the first row of the last task: a valid row.
            parts.append(np.repeat(parts[-1][:1], padding, axis=0))
        merged[alias] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return merged


def _check_outputs(outputs: Arrays, size: int) -> None:
    for array in outputs.values():
        if array.ndim == 0:
            raise ServingError("FAILED_PRECONDITION", "Batched output tensor has 0 dimensions")
        if len(array) != size:
            raise ServingError(
                "FAILED_PRECONDITION",
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
                "input tensors",
            )

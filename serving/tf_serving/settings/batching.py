"""Read the settings of batching: the flags --enable_batching and --batching_parameters_file.

Names, defaults, checks and messages are those of tensorflow/serving (BatchingParameters of
servables/tensorflow/session_bundle_config.proto, bundle_factory_util.h, model_servers/server.cc) and of
tensorflow/core/kernels/batching_util/shared_batch_scheduler.h.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from serving.tf_serving.base.errors import invalid
from serving.tf_serving.settings.text_proto import read_text


@dataclass(frozen=True, slots=True)
class BatchingParameters:
    """The settings of one scheduler and all its queues; sizes are numbers of rows.

    ``max_execution_batch_size`` differs from ``max_batch_size`` only if large requests are split.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    thread_pool_name: str = "batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 1000

    def padded(self, size: int) -> int:
        """Return the smallest allowed batch size that holds ``size`` rows."""
        return next((allowed for allowed in self.allowed_batch_sizes if allowed >= size), size)


def batching_parameters(enabled: bool, file: str) -> BatchingParameters | None:
    """Read the batching parameters from the flags; None means no batching.

    Raises:
        ServingError: the file cannot be read, or its parameters contradict each other.
    """
    if not enabled:
        if file:
            raise invalid("--batching_parameters_file is set without --enable_batching")
        return None
    return _checked(read_text(file, "batching_parameters_file", "BatchingParameters")) if file else BatchingParameters()


def _checked(message: Any) -> BatchingParameters:
    def given(name: str, default: Any) -> Any:
        return getattr(message, name).value if message.HasField(name) else default

    defaults = BatchingParameters()
    largest = given("max_batch_size", defaults.max_batch_size)
    splitting = given("enable_large_batch_splitting", False)
    execution = given("max_execution_batch_size", largest) if splitting else largest
    found = BatchingParameters(
        max_batch_size=largest,
        batch_timeout_micros=given("batch_timeout_micros", defaults.batch_timeout_micros),
        # Without splitting, 0 means 1: models with few requests rely on it (SharedBatchScheduler::AddQueue).
        max_enqueued_batches=given("max_enqueued_batches", defaults.max_enqueued_batches) or (0 if splitting else 1),
        num_batch_threads=given("num_batch_threads", defaults.num_batch_threads),
        thread_pool_name=given("thread_pool_name", defaults.thread_pool_name),
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
        enable_large_batch_splitting=splitting,
        max_execution_batch_size=execution,
    )
    for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads", "max_execution_batch_size"):
        if getattr(found, name) < 1:
            raise invalid(f"{name} must be positive; was {getattr(found, name)}")
    if found.batch_timeout_micros < 0:
        raise invalid(f"batch_timeout_micros must be non-negative; was {found.batch_timeout_micros}")
    if execution > largest:
        raise invalid(
            "When enable_large_batch_splitting is true, max_batch_size must be greater than or equal to "
            f"max_execution_batch_size; was {largest}, {execution}"
        )
    _check_allowed(found.allowed_batch_sizes, execution)
    return found


def _check_allowed(sizes: tuple[int, ...], largest: int) -> None:
    if not sizes:
        return
    if sizes[-1] != largest:
        raise invalid(
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
            f"{sizes[-1]}; expected {largest}"
        )
    if sizes[0] < 1 or any(size >= following for size, following in pairwise(sizes)):
        raise invalid(f"allowed_batch_sizes entries must be monotonically increasing; was {list(sizes)}")

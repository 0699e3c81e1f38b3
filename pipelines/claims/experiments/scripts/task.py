"""Gives every script the same data, first weights and stopwatch; imports no framework at its top."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from serving.guard import tie_to_parent

INPUTS, CLASSES = 784, 10
RATE, MOMENTUM = 0.05, 0.9
EPOCHS, PATIENCE = 12, 2
"""Where a script trains until it no longer improves: at most so many epochs, and so many without a better value."""
WARM_SHARE = 0.25
"""The share of the steps before the stopwatch starts: tracing, first allocations."""
AGENT = "torch.distributed.run"

Item = TypeVar("Item")


@dataclass(slots=True)
class Task:
    """What a script is to do: STEPS of stochastic gradient descent on batches of BATCH rows, for a net of WIDTH."""

    folder: Path
    steps: int
    width: int
    batch: int
    marks: list[tuple[float, float]] = field(default_factory=list)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows float32 (STEPS * BATCH, 784) and labels int64 (STEPS * BATCH,), the same in every script."""
        draw = np.random.default_rng(1)
        rows = self.steps * self.batch
        centres = draw.standard_normal((CLASSES, INPUTS), np.float32)
        labels = draw.integers(0, CLASSES, rows)
        return centres[labels] + draw.standard_normal((rows, INPUTS), np.float32), labels

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the data batch by batch."""
        x, y = self.data()
        for first in range(0, len(x), self.batch):
            yield x[first : first + self.batch], y[first : first + self.batch]

    def first_weights(self) -> list[np.ndarray]:
        """Return kernels (inputs, outputs) and biases of the three layers, the same in every script."""
        draw = np.random.default_rng(2)
        sizes = (INPUTS, self.width, self.width, CLASSES)
        found: list[np.ndarray] = []
        for inputs, outputs in itertools.pairwise(sizes):
            kernel = draw.standard_normal((inputs, outputs), np.float32) / np.float32(np.sqrt(inputs))
            found += [kernel, np.zeros(outputs, np.float32)]
        return found

    def timed(self, items: Iterable[Item]) -> Iterator[Item]:
        """Pass items on, one a step; note the time when the warm-up is over, and at the end."""
        for number, item in enumerate(items):
            if number == int(self.steps * WARM_SHARE):
                self.mark()
            yield item
            self.log(number)
        self.mark()

    def stopwatch(self) -> Any:
        """Return a Keras callback that notes the same two times as :meth:`timed`."""
        from keras.callbacks import LambdaCallback

        warm = int(self.steps * WARM_SHARE)
        return LambdaCallback(
            on_train_batch_begin=lambda batch, *_, **__: self.mark() if batch == warm else None,
            on_train_end=lambda *_, **__: self.mark(),
        )

    def log(self, step: int) -> None:
        """Write down that a step was done, if STRIKE is set; and strike this process down if it is its hour.

        STRIKE is JSON: the step after which, once, the process gets the signal; ``rank`` is which of torchrun's workers
        (None: any that has this variable), and with ``agent`` the agent above it goes first, as if a machine died.
        """
        if "STRIKE" not in os.environ:
            return
        strike = json.loads(os.environ["STRIKE"])
        with (self.folder / "journal.jsonl").open("a") as journal:
            entry = {"step": step, "pid": os.getpid(), "time": time.time(), "rank": int(os.environ.get("RANK", 0))}
            journal.write(json.dumps(entry) + "\n")
        struck, mine = self.folder / "struck", strike.get("rank") in (None, int(os.environ.get("RANK", 0)))
        if strike.get("step") == step and mine and not struck.exists():
            struck.write_text(str(time.time()))
            if strike.get("agent"):
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.Signals[strike["signal"]])

    def mark(self) -> None:
        """Note the wall and CPU seconds of this process."""
        self.marks.append((time.perf_counter(), time.process_time()))

    def end(self, weights: Iterable[np.ndarray], rank: int = 0) -> None:
        """Write the weights (Keras's layout) and the times of the steady steps, for whoever started the script."""
        np.savez(self.folder / f"{rank}.npz", *weights)
        if not self.marks:
            return
        (wall, cpu), (wall_end, cpu_end) = self.marks[0], self.marks[-1]
        answer = {"wall_s": wall_end - wall, "cpu_s": cpu_end - cpu, "steps": self.steps - int(self.steps * WARM_SHARE)}
        (self.folder / f"{rank}.json").write_text(json.dumps(answer))


def task() -> Task:
    """Read the words of the command line. The process ends with the one that started it."""
    tie_to_parent()
    parent = Path(f"/proc/{os.getppid()}/cmdline")
    # torchrun gives its workers a session of their own: one that was born as its agent died would stay behind.
    if "TORCHELASTIC_RUN_ID" in os.environ and parent.exists() and AGENT not in parent.read_text():
        sys.exit(1)
    folder, steps, width, batch = sys.argv[1:5]
    return Task(Path(folder), int(steps), int(width), int(batch))


def torch_net(job: Task) -> Any:
    """Build the net in PyTorch, with the first weights, on one compute thread."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    net = nn.Sequential(
        nn.Linear(INPUTS, job.width),
        nn.ReLU(),
        nn.Linear(job.width, job.width),
        nn.ReLU(),
        nn.Linear(job.width, CLASSES),
    )
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), job.first_weights(), strict=True):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(value.T)))
    return net


def torch_weights(net: Any) -> list[np.ndarray]:
    """Return the weights of the PyTorch net in Keras's layout."""
    return [parameter.detach().numpy().T for parameter in net.parameters()]


def keras_net(job: Task) -> Any:
    """Build the net in Keras, with the first weights."""
    import keras

    layers = [keras.layers.Dense(job.width, "relu"), keras.layers.Dense(job.width, "relu"), keras.layers.Dense(CLASSES)]
    net = keras.Sequential([keras.Input((INPUTS,)), *layers])
    net.set_weights(job.first_weights())
    return net


def tensorflow_devices(count: int) -> None:
    """Split the processor into logical devices, which stand in for GPUs; one compute thread each."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(count)
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * count)

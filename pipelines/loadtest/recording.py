"""Records what happened to each request of a load test: flat arrays, a few error texts, a sample of the answers."""

from __future__ import annotations

import json
import mmap
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np

MAX_ERROR_EXAMPLES = 5
MAX_ERROR_LENGTH = 300
MAX_KEPT = 2_000
MAX_KEPT_BYTES = 128 * 2**20

_ONE = 2**64
_PHI = 0x9E3779B97F4A7C15  # the golden ratio's fractional part, in 64 bits

Answer = TypeVar("Answer")


class Outcome(IntEnum):
    """The way a request ended."""

    PENDING = 0
    ANSWERED = 1
    REFUSED = 2  # the server answered with an error
    BROKEN = 3  # no connection, or it broke
    TIMED_OUT = 4
    NOT_SENT = 5  # too many were unanswered when it was due
    CUT_OFF = 6  # unanswered when the test was interrupted: its end is unknown


class Sample(Generic[Answer]):
    """Keeps a bounded number of answers, spread evenly over a run of unknown length.

    All are kept until there are more than ``most``, or more bytes than ``most_bytes``; then half of them
    are dropped, and from there on only every second one is added, and so on; at least one stays. The golden ratio
    decides which ones: a share s of all positions n has frac(n * phi) < s, and their gaps have at most three
    lengths (the three-distance theorem). Unlike every s-th position, they follow no period, such as the
    number of request bodies or a period of the server.
    """

    def __init__(self, most: int = MAX_KEPT, most_bytes: int = MAX_KEPT_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._below, self._bytes = _ONE, 0
        self._kept: dict[int, tuple[Answer, int]] = {}

    def wants(self, position: int) -> bool:
        return position * _PHI % _ONE < self._below

    def add(self, position: int, answer: Answer, size: int) -> None:
        """``position`` counts the requests of the run from 0; answers may come in any order."""
        if not self.wants(position):
            return
        self._kept[position] = (answer, size)
        self._bytes += size
        while len(self._kept) > 1 and (len(self._kept) > self._most or self._bytes > self._most_bytes):
            self._below //= 2
            dropped = [at for at in self._kept if not self.wants(at)]
            if len(dropped) == len(self._kept):
                dropped.pop()
            for at in dropped:
                self._bytes -= self._kept.pop(at)[1]

    def items(self) -> list[tuple[int, Answer]]:
        return [(position, answer) for position, (answer, _) in sorted(self._kept.items())]


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished run.

    ``intended``, ``sent`` and ``done`` are int64 nanoseconds of one monotonic clock and ``outcome`` int8
    (:class:`Outcome`), each of shape [requests], warm-up included, in the order of sending. ``sent`` is when the
    generator acted: it includes the generator's own lateness, but no wait for the server or a
    connection. ``first_byte`` (ns) is 0 where it was not seen, ``size`` (int32) the bytes of an answer's body.
    ``first`` is the first measured request, ``start_ns`` to ``stop_ns`` the time in which
    measured requests were sent, ``cpu_s`` this process's CPU time from ``start_ns`` to ``ended_ns``, when the
    last answer was there. ``error_examples`` are distinct texts, in order of appearance.
    ``interrupted``: the test was stopped before its end. ``cpus`` are the processors that the generator might
    use, ``priority`` its scheduling; empty and None in process.
    """

    intended: np.ndarray
    sent: np.ndarray
    done: np.ndarray
    outcome: np.ndarray
    first_byte: np.ndarray
    size: np.ndarray
    first: int
    start_ns: int
    stop_ns: int
    cpu_s: float
    in_flight_limit: int
    error_examples: tuple[str, ...]
    ended_ns: int = 0
    interrupted: bool = False
    cpus: tuple[int, ...] = ()
    priority: str | None = None


class Arrays(NamedTuple):
    """The flat arrays of a test under way, of shape [capacity]: see :class:`Recording`.

    ``facts`` (int64, [2]) are the first measured request plus one (0 until there is one), and when it was set (ns).
    """

    intended: np.ndarray
    sent: np.ndarray
    done: np.ndarray
    first_byte: np.ndarray
    size: np.ndarray
    outcome: np.ndarray
    facts: np.ndarray


_BYTES = 4 * 8 + 4 + 1
_FACT_BYTES = 16


def bytes_needed(capacity: int) -> int:
    """Returns the memory of the arrays; pages that are never written cost nothing."""
    return _FACT_BYTES + _BYTES * capacity


def new_arrays(capacity: int, memory: mmap.mmap | None = None) -> Arrays:
    """Makes arrays in ``memory`` (``bytes_needed(capacity)`` bytes, all zero), or in new memory."""
    room = np.zeros(bytes_needed(capacity), np.uint8) if memory is None else np.frombuffer(memory, np.uint8)
    facts, rest = room[:_FACT_BYTES].view(np.int64), room[_FACT_BYTES:]
    wide = rest[: 32 * capacity].view(np.int64).reshape(4, capacity)
    size = rest[32 * capacity : 36 * capacity].view(np.int32)
    return Arrays(wide[0], wide[1], wide[2], wide[3], size, rest[36 * capacity :].view(np.int8), facts)


class Recorder(Generic[Answer]):
    """Collects a :class:`Recording` while it happens; a few tens of nanoseconds a value."""

    def __init__(self, capacity: int, arrays: Arrays | None = None) -> None:
        """``arrays`` are those of :func:`new_arrays`, if another process looks on (default: new ones)."""
        self.capacity = capacity
        self.count = 0
        self.first = capacity  # nothing is measured until `measure_from`
        self.arrays = arrays if arrays is not None else new_arrays(capacity)
        self.intended, self.sent, self.done, self.first_byte, self.size, self.outcome, self._facts = self.arrays
        # The same memory: setting an item of a memoryview takes a third of numpy's time.
        self._intended, self._sent, self._done, self._first_byte, self._size, self._outcome = (
            memoryview(array)  # type: ignore[arg-type]  # numpy's stubs do not say that arrays are buffers
            for array in self.arrays[:6]
        )
        self.answers: Sample[Answer] = Sample()
        self._errors: dict[str, None] = {}

    def measure_from(self, first: int) -> None:
        """Marks requests from this index on as measured; those before it are warm-up."""
        self.first = first
        self._facts[:] = first + 1, time.monotonic_ns()

    def begin(self, intended_ns: int, sent_ns: int) -> int:
        """Records a new request, and returns its index."""
        index = self.count
        self._intended[index] = intended_ns
        self._sent[index] = sent_ns
        self.count = index + 1
        return index

    def end(
        self, index: int, outcome: Outcome, done_ns: int, error: str = "", first_ns: int = 0, size: int = 0
    ) -> None:
        self._done[index] = done_ns
        self._first_byte[index] = first_ns
        self._size[index] = size
        self._outcome[index] = outcome
        if outcome is not Outcome.ANSWERED and index >= self.first and len(self._errors) < MAX_ERROR_EXAMPLES:
            self._errors[" ".join(error.split())[:MAX_ERROR_LENGTH]] = None

    def wants(self, index: int) -> bool:
        """Tells whether to keep the answer to a request."""
        return index >= self.first and self.answers.wants(index - self.first)

    def keep(self, index: int, answer: Answer, size: int) -> None:
        if index >= self.first:
            self.answers.add(index - self.first, answer, size)

    def kept(self) -> list[tuple[int, Answer]]:
        """Returns (request index, answer), in the order of sending."""
        return [(self.first + position, answer) for position, answer in self.answers.items()]

    def finish(
        self, start_ns: int, stop_ns: int, cpu_s: float, in_flight_limit: int, interrupted: bool = False
    ) -> Recording:
        used = slice(0, self.count)
        return Recording(
            self.intended[used],
            self.sent[used],
            self.done[used],
            self.outcome[used],
            self.first_byte[used],
            self.size[used],
            first=min(self.first, self.count),
            start_ns=start_ns,
            stop_ns=stop_ns,
            cpu_s=cpu_s,
            in_flight_limit=in_flight_limit,
            error_examples=tuple(self._errors),
            ended_ns=time.monotonic_ns(),
            interrupted=interrupted,
        )


RECORDING = "recording.json"
"""Written last: if it exists, the recording is complete."""
ARRAYS = ("intended", "sent", "done", "outcome", "first_byte", "size")
RESULT_FILES = ("answers.bin", "answers.npz", "recording.npz", RECORDING)
"""The files that a generator leaves in its folder, in this order."""
_FACTS = tuple(one.name for one in fields(Recording) if one.name not in ARRAYS)


def save_recording(folder: Path, recording: Recording) -> None:
    np.savez(folder / "recording.npz", allow_pickle=False, **{name: getattr(recording, name) for name in ARRAYS})
    facts = {name: getattr(recording, name) for name in _FACTS}
    (folder / RECORDING).write_text(json.dumps(facts))


def load_recording(folder: Path) -> Recording:
    facts = json.loads((folder / RECORDING).read_text())
    facts |= {name: tuple(facts[name]) for name in ("error_examples", "cpus")}
    with np.load(folder / "recording.npz", allow_pickle=False) as arrays:
        return Recording(**{name: arrays[name] for name in ARRAYS}, **facts)


def save_blobs(folder: Path, name: str, numbers: Sequence[int], blobs: Iterable[bytes]) -> None:
    """Writes byte strings as one flat file, and their ``numbers`` and offsets (int64) beside it."""
    offsets = [0]
    with (folder / f"{name}.bin").open("wb") as file:
        for blob in blobs:
            offsets.append(offsets[-1] + file.write(blob))
    np.savez(folder / f"{name}.npz", numbers=np.array(numbers, np.int64), offsets=np.array(offsets, np.int64))


def load_blobs(folder: Path, name: str) -> Iterable[tuple[int, bytes]]:
    """Yields (number, bytes) of each, read one at a time."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        numbers, offsets = arrays["numbers"].tolist(), arrays["offsets"].tolist()
    with (folder / f"{name}.bin").open("rb") as file:
        for number, (start, end) in zip(numbers, pairwise(offsets), strict=True):
            yield number, file.read(end - start)

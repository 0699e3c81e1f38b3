"""What happened to each request of a load test: flat arrays, a few error texts, and a sample of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

MAX_ERROR_EXAMPLES = 5
MAX_ERROR_LENGTH = 300
MAX_KEPT = 2_000
MAX_KEPT_BYTES = 128 * 2**20

_ONE = 2**64
_PHI = 0x9E3779B97F4A7C15  # the golden ratio's fractional part, in 64 bits

Answer = TypeVar("Answer")


class Outcome(IntEnum):
    """How a request ended."""

    PENDING = 0
    ANSWERED = 1
    REFUSED = 2  # the server answered with an error
    BROKEN = 3  # no connection, or it broke
    TIMED_OUT = 4
    NOT_SENT = 5  # too many were unanswered when it was due


class Sample(Generic[Answer]):
    """Keeps a bounded number of answers, spread evenly over a run of unknown length.

    All are kept until there are more than ``most``, or more bytes than ``most_bytes``; then half of them
    are dropped, and from there on only every second one comes in, and so on; at least one stays. Which ones
    is decided by the golden ratio: a share s of all positions n has frac(n * phi) < s, their gaps have at most
    three lengths (the three-distance theorem), and, unlike every s-th position, they are in step with no
    period: not with the number of request bodies, nor with a server's.
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
    generator acted: it includes its own lateness and no wait for the server, not even for a
    connection. ``first`` is the first measured request, ``start_ns`` to ``stop_ns`` the time in which
    measured requests were sent, ``cpu_s`` this process's CPU time from ``start_ns`` to the last answer.
    ``error_examples`` are distinct texts, in order of appearance.
    """

    intended: np.ndarray
    sent: np.ndarray
    done: np.ndarray
    outcome: np.ndarray
    first: int
    start_ns: int
    stop_ns: int
    cpu_s: float
    in_flight_limit: int
    error_examples: tuple[str, ...]


class Recorder(Generic[Answer]):
    """Collects a :class:`Recording` while it happens; a few tens of nanoseconds a value."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.count = 0
        self.first = capacity  # nothing is measured until `measure_from`
        self.intended = np.zeros(capacity, np.int64)  # pages that are never written cost nothing
        self.sent = np.zeros(capacity, np.int64)
        self.done = np.zeros(capacity, np.int64)
        self.outcome = np.zeros(capacity, np.int8)
        self.answers: Sample[Answer] = Sample()
        self._errors: dict[str, None] = {}

    def measure_from(self, first: int) -> None:
        """Requests from this index on are measured; those before it are warm-up."""
        self.first = first

    def begin(self, intended_ns: int, sent_ns: int) -> int:
        """The index of a new request."""
        index = self.count
        self.intended[index] = intended_ns
        self.sent[index] = sent_ns
        self.count = index + 1
        return index

    def end(self, index: int, outcome: Outcome, done_ns: int, error: str = "") -> None:
        self.done[index] = done_ns
        self.outcome[index] = outcome
        if outcome is not Outcome.ANSWERED and index >= self.first and len(self._errors) < MAX_ERROR_EXAMPLES:
            self._errors[" ".join(error.split())[:MAX_ERROR_LENGTH]] = None

    def wants(self, index: int) -> bool:
        """Whether the answer to a request is one to keep."""
        return index >= self.first and self.answers.wants(index - self.first)

    def keep(self, index: int, answer: Answer, size: int) -> None:
        if index >= self.first:
            self.answers.add(index - self.first, answer, size)

    def kept(self) -> list[tuple[int, Answer]]:
        """(request index, answer), in the order of sending."""
        return [(self.first + position, answer) for position, answer in self.answers.items()]

    def finish(self, start_ns: int, stop_ns: int, cpu_s: float, in_flight_limit: int) -> Recording:
        used = slice(0, self.count)
        return Recording(
            self.intended[used],
            self.sent[used],
            self.done[used],
            self.outcome[used],
            first=min(self.first, self.count),
            start_ns=start_ns,
            stop_ns=stop_ns,
            cpu_s=cpu_s,
            in_flight_limit=in_flight_limit,
            error_examples=tuple(self._errors),
        )


_ARRAYS = ("intended", "sent", "done", "outcome")
_FACTS = ("first", "start_ns", "stop_ns", "cpu_s", "in_flight_limit", "error_examples")


def save_recording(folder: Path, recording: Recording) -> None:
    np.savez(folder / "recording.npz", allow_pickle=False, **{name: getattr(recording, name) for name in _ARRAYS})
    facts = {name: getattr(recording, name) for name in _FACTS}
    (folder / "recording.json").write_text(json.dumps(facts))


def load_recording(folder: Path) -> Recording:
    facts = json.loads((folder / "recording.json").read_text())
    facts["error_examples"] = tuple(facts["error_examples"])
    with np.load(folder / "recording.npz", allow_pickle=False) as arrays:
        return Recording(**{name: arrays[name] for name in _ARRAYS}, **facts)


def save_blobs(folder: Path, name: str, numbers: Sequence[int], blobs: Iterable[bytes]) -> None:
    """Byte strings as one flat file and their ``numbers`` and offsets (int64) beside it."""
    offsets = [0]
    with (folder / f"{name}.bin").open("wb") as file:
        for blob in blobs:
            offsets.append(offsets[-1] + file.write(blob))
    np.savez(folder / f"{name}.npz", numbers=np.array(numbers, np.int64), offsets=np.array(offsets, np.int64))


def load_blobs(folder: Path, name: str) -> Iterable[tuple[int, bytes]]:
    """(number, bytes) of each, read one at a time."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        numbers, offsets = arrays["numbers"].tolist(), arrays["offsets"].tolist()
    with (folder / f"{name}.bin").open("rb") as file:
        for number, (start, end) in zip(numbers, pairwise(offsets), strict=True):
            yield number, file.read(end - start)

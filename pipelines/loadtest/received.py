"""What a generator has left, looked at before it is believed: on the way from another host it may have been damaged."""

from __future__ import annotations

import math
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.errors import SlipwayError
from pipelines.loadtest.frames import plain
from pipelines.loadtest.recording import ARRAYS, MAX_ERROR_EXAMPLES, MAX_KEPT, Outcome, Recording, load_recording
from pipelines.loadtest.settings import MAX_REQUESTS
from pipelines.loadtest.transport import MAX_ARRIVING

MOST_UNPACKED = 64 * MAX_REQUESTS
"""Bytes of all arrays of a file: a request takes 37."""
MOST_NS = 2**62
"""Times are below it: the difference and the sum of two still fit into 64 bits."""
MOST_CPUS = 2**16
_LAST = max(Outcome)


class Damaged(SlipwayError):
    """The files of a generator are not what it leaves."""


def received(folder: Path) -> Recording:
    """The recording in a generator's folder, whose sampled answers can be read as well. Raises Damaged."""
    try:
        for name in ("recording.npz", "answers.npz"):
            with zipfile.ZipFile(folder / name) as archive:
                if sum(member.file_size for member in archive.infolist()) > MOST_UNPACKED:
                    raise Damaged(f"{name} is too large")
        found = load_recording(folder)
        sound = _facts_fit(found) and _arrays_fit(found) and _answers_fit(folder, len(found.sent))
    except Damaged:
        raise
    except Exception as error:
        raise Damaged(f"its recording is damaged ({type(error).__name__}: {plain(error, 100)})") from error
    if not sound:
        raise Damaged("its recording is damaged (values that cannot be)")
    return replace(found, error_examples=tuple(plain(text) for text in found.error_examples))


def _facts_fit(one: Recording) -> bool:
    times = (one.start_ns, one.stop_ns, one.ended_ns)
    return (
        all(type(value) is int and 0 <= value < MOST_NS for value in (*times, one.first, one.in_flight_limit))
        and one.start_ns <= one.stop_ns
        and one.first <= len(one.sent)
        and isinstance(one.cpu_s, int | float)
        and math.isfinite(one.cpu_s)
        and one.cpu_s >= 0
        and isinstance(one.interrupted, bool)
        and (one.priority is None or isinstance(one.priority, str))
        and len(one.cpus) <= MOST_CPUS
        and all(type(cpu) is int for cpu in one.cpus)
        and len(one.error_examples) <= MAX_ERROR_EXAMPLES
        and all(isinstance(text, str) for text in one.error_examples)
    )


def _arrays_fit(one: Recording) -> bool:
    count = len(one.sent)
    kinds = {"size": np.int32, "outcome": np.int8}
    found = {name: getattr(one, name) for name in ARRAYS}
    if count > MAX_REQUESTS or any(
        array.shape != (count,) or array.dtype != kinds.get(name, np.int64) for name, array in found.items()
    ):
        return False
    ended = one.outcome != Outcome.PENDING
    return bool(
        all(((array >= 0) & (array < MOST_NS)).all() for array in found.values())
        and (one.outcome <= _LAST).all()
        and (one.done >= one.intended)[ended].all()
    )


def _answers_fit(folder: Path, requests: int) -> bool:
    with np.load(folder / "answers.npz", allow_pickle=False) as arrays:
        numbers, offsets = arrays["numbers"], arrays["offsets"]
    if numbers.dtype != np.int64 or offsets.dtype != np.int64 or offsets.shape != (len(numbers) + 1,):
        return False
    sizes = np.diff(offsets)
    return bool(
        numbers.ndim == 1
        and len(numbers) <= MAX_KEPT
        and ((numbers >= 0) & (numbers < requests)).all()
        and offsets[0] == 0
        and ((sizes >= 0) & (sizes <= MAX_ARRIVING)).all()
        and offsets[-1] == (folder / "answers.bin").stat().st_size
    )

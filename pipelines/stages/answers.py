"""Makes the inputs of a load test, and checks answers against the in-process ones."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipelines.artifacts.parity import chunks
from pipelines.base.errors import SlipwayError

ANSWER_ROWS = 32
REFERENCE, ANSWERS = "reference.npz", "answers.npz"
CHECK_ATOL, CHECK_RTOL = 1e-4, 1e-4
"""The allowed difference of an answer over the wire from the in-process one, for another batch or a JSON number."""


def parts_of(batch: int) -> list[slice]:
    """Return the rows of each request of ``batch`` rows."""
    return list(chunks(ANSWER_ROWS, [batch] * (ANSWER_ROWS // batch)))


def by_call(arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Part arrays named CALL/NAME by their calls, which are numbered from 0."""
    calls: dict[int, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        number, _, name = key.partition("/")
        calls.setdefault(int(number), {})[name] = array
    return [calls[number] for number in sorted(calls)]


class Answers:
    """The answers of one artifact, read from its folder. Raises SlipwayError for a file that cannot be read."""

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                self._arrays = {key: file[key] for key in file.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise SlipwayError(f"the artifact's own answers cannot be read: {error}. Verify it again.") from error

    def _of(self, prefix: str, part: slice) -> dict[str, np.ndarray]:
        return {key.removeprefix(prefix): array[part] for key, array in self._arrays.items() if key.startswith(prefix)}

    def inputs(self, batch: int) -> list[dict[str, np.ndarray]]:
        """Return distinct inputs of ``batch`` rows each."""
        return [self._of("inputs/", part) for part in parts_of(batch)]

    def matches(self, batch: int, index: int, received: dict[str, np.ndarray]) -> bool:
        """Tell whether an answer to input ``index`` equals the in-process one, within CHECK_ATOL and CHECK_RTOL."""
        expected = self._of(f"outputs/{batch}/", parts_of(batch)[index])
        return set(received) == set(expected) and all(
            received[name].shape == want.shape and np.allclose(received[name], want, CHECK_RTOL, CHECK_ATOL)
            for name, want in expected.items()
        )

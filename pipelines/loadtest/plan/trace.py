"""Reads a trace of arrivals: a text file with seconds, one a line; it skips empty lines and those that begin with #."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from pipelines.base.errors import UserError
from pipelines.base.files import MIB, read_bounded
from pipelines.loadtest.plan.schedule import NS_PER_S
from pipelines.loadtest.settings import MAX_REQUESTS, MAX_SECONDS

MAX_BYTES = 128 * MIB
"""A line for each of MAX_REQUESTS arrivals, and room for notes."""


def read_trace(path: str | Path) -> np.ndarray:
    """Reads the arrivals as int64 nanoseconds from the first one, ascending, shape [n].

    Raises UserError, naming the line, if the file is not an ascending list of seconds.
    """
    try:
        lines = read_bounded(Path(path), MAX_BYTES, "the trace").decode().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read the trace: not a text. Received: {path}") from error
    offsets: list[float] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        value = _seconds(text)
        if value is None or (offsets and value < offsets[-1]) or len(offsets) == MAX_REQUESTS:
            raise UserError(
                f"not a trace: line {number} of {path}. Received: {text[:40]!r}. "
                f"Give seconds, one a line, ascending, at most {MAX_REQUESTS:,}."
            )
        offsets.append(value)
    if not offsets:
        raise UserError(f"the trace holds no arrival. Received: {path}. Give seconds, one a line.")
    if offsets[-1] - offsets[0] > MAX_SECONDS:
        raise UserError(f"the trace is longer than {MAX_SECONDS:.0f} s. Received: {offsets[-1] - offsets[0]:.0f} s.")
    return ((np.array(offsets) - offsets[0]) * NS_PER_S).astype(np.int64)


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

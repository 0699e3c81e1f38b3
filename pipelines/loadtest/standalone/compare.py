"""Saves a result with its latencies, and computes the ratio of another one to it."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base.errors import UserError
from pipelines.base.files import MIB, read_bounded, write_text
from pipelines.loadtest.standalone.repetitions import Result
from pipelines.loadtest.statistics.intervals import Interval, ratio_interval
from pipelines.loadtest.statistics.percentiles import CLAIMS

LATENCIES = "latencies_ns"
MAX_BYTES = 512 * MIB
"""The largest size of a result on disk, and of its unpacked latencies."""


def save_result(path: Path, facts: dict[str, Any], result: Result) -> None:
    """Writes ``facts`` as JSON, with each run's sorted latencies: int64 nanoseconds, zlib and base64."""
    runs = [np.rint(run * 1e6).astype("<i8").tobytes() for run in result.latencies_ms]
    packed = [base64.b64encode(zlib.compress(run)).decode() for run in runs]
    write_text(path, json.dumps({**facts, LATENCIES: packed}, indent=1) + "\n")


def load_result(path: Path) -> list[np.ndarray]:
    """Reads the latencies of each run (ms, sorted). Raises UserError for a file that ``save_result`` did not write."""
    try:
        packed = json.loads(read_bounded(path, MAX_BYTES, "the result"))[LATENCIES]
        return [np.frombuffer(run, "<i8") / 1e6 for run in _inflated(packed)]
    except (ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise UserError(f"not a result of slipway loadtest-url --save. Received: {path}. Name one.") from error


def _inflated(packed: Sequence[str]) -> Iterator[bytes]:
    """Return the bytes of each run. Raises ValueError when all together are more than MAX_BYTES."""
    left = MAX_BYTES
    for one in packed:
        inflater = zlib.decompressobj()
        run = inflater.decompress(base64.b64decode(one, validate=True), left + 1)
        left -= len(run)
        if left < 0 or not inflater.eof:
            raise ValueError("the latencies are cut off, or too many")
        yield run


def compare(result: Result, base: Sequence[np.ndarray]) -> dict[str, Interval | str]:
    """Divides each percentile of ``result`` by that of ``base``; gives an interval, or why there is none."""
    return {f"{name}_ms": ratio_interval(result.latencies_ms, base, level) for name, level in CLAIMS.items()}


def plain_ratio(ratio: Interval | str) -> dict[str, Any]:
    """Returns a ratio as JSON has it."""
    if isinstance(ratio, str):
        return {"reason": ratio}
    return {"value": ratio.value, "low": ratio.low, "high": ratio.high, "coverage": ratio.coverage}

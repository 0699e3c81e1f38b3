"""Repeats a load test that a busy machine spoilt, a bounded number of times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pipelines.results import Scenario

MAX_ATTEMPTS = 3


def until_valid(measure: Callable[[int], Scenario], attempts: int = MAX_ATTEMPTS) -> Scenario:
    """Returns the first valid result of ``measure(attempt)``, with attempts counted from 1, or else the last one.

    A test with failed requests is not repeated: an error is the server's, and stands.
    """
    for attempt in range(1, attempts + 1):
        result = measure(attempt)
        if result.valid or result.load.errors or attempt == attempts:
            return replace(result, attempts=attempt)
    raise ValueError(f"attempts must be at least 1. Received: {attempts}")

"""A load test that a busy machine spoilt is done again, a bounded number of times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pipelines.results import Scenario

MAX_ATTEMPTS = 3


def until_valid(measure: Callable[[int], Scenario], attempts: int = MAX_ATTEMPTS) -> Scenario:
    """The first valid result of ``measure(attempt)``, attempts counted from 1; the last one if none is.

    Only what no request failed in is repeated: an error is the server's, and stands.
    """
    for attempt in range(1, attempts + 1):
        result = measure(attempt)
        if result.valid or result.load.errors or attempt == attempts:
            return replace(result, attempts=attempt)
    raise ValueError(f"attempts must be at least 1. Received: {attempts}")

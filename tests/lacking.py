"""Tells what a machine lacks from what a path cannot do: only the first skips a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipelines.base.errors import NotPossible

MUST_RUN = set(filter(None, os.environ.get("SLIPWAY_TESTS_MUST_RUN", "").split(",")))
"""Names what the machine must have (``docker``, ``browser``, ``compiler``): a test that lacks it fails, not skips."""
LACKING = {
    "compiler": "Inductor needs a C++ compiler",
    "browser": "no browser: ",
    "instructions": "this processor does not compute in ",
}


@contextmanager
def skipped_for_want() -> Iterator[None]:
    """Skip the test if the block fails for something that this machine lacks."""
    try:
        yield
    except NotPossible as error:
        lacking = next((name for name, words in LACKING.items() if str(error).startswith(words)), None)
        if lacking is None or lacking in MUST_RUN:
            raise
        pytest.skip(str(error))

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.loadtest.truth.start import Truth, ground_truth

# Tests are no packages (importlib mode): this is how they find the modules that they share.
sys.path.append(str(Path(__file__).parent))

BODIES = [bytes([65 + i]) * 3_000 for i in range(7)]


@pytest.fixture(scope="session", params=["http", "grpc"])
def truth(request: pytest.FixtureRequest) -> Iterator[Truth]:
    """The truth over each transport."""
    with ground_truth(request.param) as server:
        yield server


@pytest.fixture(scope="session")
def http_truth() -> Iterator[Truth]:
    with ground_truth("http") as server:
        yield server


@pytest.fixture(scope="session")
def bodies() -> list[bytes]:
    return BODIES


@pytest.fixture(scope="session")
def start_truth():
    """Starts a server of the test's own: one to be killed."""
    return ground_truth

from __future__ import annotations

import os
import subprocess
import sys
import uuid
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


def _done(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False, timeout=20).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def two_namespaces() -> Iterator[tuple[list[str], str]]:
    """Two network namespaces, each with one way out; (their names, an address of this side that both can reach)."""
    mark = uuid.uuid4().hex[:5]
    names = [f"slip{mark}{number}" for number in range(2)]
    net = f"10.231.{int(mark[:2], 16)}"
    try:
        for number, name in enumerate(names):
            here, there = f"sa{mark}{number}", f"sb{mark}{number}"
            near, far = f"{net}.{4 * number + 1}", f"{net}.{4 * number + 2}"
            inside = ("ip", "netns", "exec", name)
            steps = (
                ("ip", "netns", "add", name),
                ("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name),
                ("ip", "addr", "add", f"{near}/30", "dev", here),
                ("ip", "link", "set", here, "up"),
                (*inside, "ip", "addr", "add", f"{far}/30", "dev", there),
                (*inside, "ip", "link", "set", there, "up"),
                (*inside, "ip", "route", "add", "default", "via", near),
            )
            if os.getuid() or not all(_done(*step) for step in steps):
                pytest.skip("this machine allows no network namespaces")
        yield names, f"{net}.1"
    finally:
        for name in names:
            _done("ip", "netns", "delete", name)

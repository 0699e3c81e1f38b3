from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from serving.clients import Call

BODIES = [bytes([65 + i]) * 3_000 for i in range(7)]


@dataclass(frozen=True)
class Truth:
    """A running truth server."""

    process: subprocess.Popen[bytes]
    url: str

    def call(self, path: str, **headers: str) -> Call:
        return Call(self.url, path, headers)


@contextlib.contextmanager
def truth_server(kind: str) -> Iterator[Truth]:
    script = Path(__file__).with_name("truth_server.py")
    guarded = [sys.executable, "-m", "serving.guard", str(os.getpid()), sys.executable, str(script), kind]
    with subprocess.Popen(guarded, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield Truth(process, f"{kind}://127.0.0.1:{port}")
        finally:
            process.kill()


@pytest.fixture(scope="session", params=["http", "grpc"])
def truth(request: pytest.FixtureRequest) -> Iterator[Truth]:
    """The truth over each transport."""
    with truth_server(request.param) as server:
        yield server


@pytest.fixture(scope="session")
def http_truth() -> Iterator[Truth]:
    with truth_server("http") as server:
        yield server


@pytest.fixture(scope="session")
def bodies() -> list[bytes]:
    return BODIES


@pytest.fixture(scope="session")
def start_truth():
    """Starts a server of the test's own: one to be killed."""
    return truth_server

"""Starts a ground-truth server in a process of its own, and ends it."""

from __future__ import annotations

import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipelines.base.errors import SlipwayError
from serving.clients import Call
from serving.guard import interrupts_deferred, tied

START_S = 60.0


@dataclass(frozen=True, slots=True)
class Truth:
    """A running ground-truth server."""

    process: subprocess.Popen[bytes]
    url: str

    def call(self, path: str, **headers: str) -> Call:
        return Call(self.url, path, headers)


@contextmanager
def ground_truth(kind: str, host: str = "127.0.0.1") -> Iterator[Truth]:
    """Starts a server of ``kind``, http or grpc, on a free port of ``host``; it ends even if its caller is killed.

    Raises SlipwayError if it does not start.
    """
    serve = [sys.executable, "-P", "-m", "pipelines.loadtest.truth", kind, "0", host]
    process: subprocess.Popen[bytes] | None = None
    try:
        with interrupts_deferred():
            process = subprocess.Popen(
                tied(serve),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        yield Truth(process, f"{kind}://{host}:{_port(process)}")
    finally:
        if process is not None:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _port(process: subprocess.Popen[bytes]) -> int:
    if process.stdout is None:
        raise RuntimeError("the process was started without a pipe for its standard output")
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if ready.select(START_S) else b""
    if not line.strip().isdigit():
        raise SlipwayError(f"the ground-truth server did not start: exit code {process.poll()}")
    return int(line)

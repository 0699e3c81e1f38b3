"""The parent of the Java frontend in a container: passes signals on, and says whether it can predict.

TorchServe's ``/ping`` answers before any worker has loaded the model, and a worker that cannot load it
is started again for ever. So a process of ours asks the management API once a second: the answer is at
``GET /ready`` for a gateway, and a model that cannot be loaded ends the server with one line.

Requests that wait for a worker that has died wait until TorchServe has started another one, for many seconds,
and no client or gateway can see that. So the frontend is ended at once and started anew: its connections break, and
a gateway sends what was on them to another replica.
"""

from __future__ import annotations

import http.server
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from serving.container.releases import Follower
from serving.guard import interrupts_deferred
from serving.torchserve.state import workers
from serving.torchserve.versions import Versions

POLL_S = 1.0
MAX_STARTS = 3
"""So many workers may die before one has loaded the model."""
CANNOT_LOAD = 2

Command = tuple[Sequence[str], Mapping[str, str]]


class Supervisor:
    """One frontend after the other, until one ends by itself; :meth:`run` returns its exit code."""

    def __init__(self, versions: Versions, follower: Follower | None) -> None:
        self._versions, self._follower = versions, follower
        self.ready = False
        self._was_ready = False
        self._seen: set[int] = set()  # workers that were started before one was ready
        self._workers: dict[int, int] = {}  # those that predict, by process number, and descriptors to wait for them
        self._is_stopping = False

    @property
    def release(self) -> int | None:
        """The release that is served; None where none is followed."""
        return None if self._follower is None else self._follower.number

    def run(self, command: Callable[[], Command], listen: tuple[str, int] | None) -> int:
        """Start what ``command`` says, watch it, end with it. ``listen`` is where ``GET /ready`` is answered."""
        self._start(command)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        if listen is not None:
            server = http.server.ThreadingHTTPServer(listen, _handler(self))
            threading.Thread(target=server.serve_forever, daemon=True).start()
        if self._follower is not None:
            self._follower.follow(self._switch)
        while (code := self._watch()) is None:
            self._start(command)
        return code

    def _start(self, command: Callable[[], Command]) -> None:
        with nullcontext() if self._follower is None else self._follower.changing:
            argv, environment = command()
        with interrupts_deferred():
            self._child = subprocess.Popen(argv, env=environment, cwd=self._versions.workdir)
            if self._is_stopping:
                self._child.terminate()
        self._seen, self._was_ready = set(), False

    def _stop(self, *_: object) -> None:
        self._is_stopping = True
        self._child.terminate()

    def _switch(self, number: int, release: Path) -> None:
        assert self._follower is not None  # noqa: S101 - it is who calls
        self._versions.replace(number, release)
        try:
            self._versions.retire(self._follower.number)
        except OSError as error:
            print(f"torchserve: release {self._follower.number} stays loaded: {error}", file=sys.stderr, flush=True)

    def _watch(self) -> int | None:
        """Return the exit code of the frontend that has ended; None if it was ended because no worker is left."""
        while True:
            died = self._wait()
            code = self._child.poll()
            if code is not None:
                return code if code >= 0 else 128 - code
            self._look(died)
            if died and not self.ready:
                print("torchserve: the worker died, TorchServe is started anew", file=sys.stderr, flush=True)
                self._child.kill()
                self._child.wait()
                return None
            if not self._was_ready and len(self._seen) >= MAX_STARTS:
                self._child.terminate()
                self._child.wait()
                model = self._versions.model
                print(
                    f"torchserve: {model}.mar cannot be loaded; the workers say why above. Package the model "
                    f"again: slipway package {model} torchserve; with docker compose: "
                    "docker compose run --rm build",
                    file=sys.stderr,
                )
                return CANNOT_LOAD

    def _wait(self) -> set[int]:
        """Wait for a while, or for a death; return the workers that died."""
        frontend = os.pidfd_open(self._child.pid)
        try:
            ended, _, _ = select.select([frontend, *self._workers.values()], [], [], POLL_S)
        finally:
            os.close(frontend)
        return {pid for pid, descriptor in self._workers.items() if descriptor in ended}

    def _look(self, died: set[int]) -> None:
        """Ask which workers predict. Of a version that was replaced they may die."""
        try:
            known = workers(self._versions.model, self._versions.management_port, self._versions.workdir)
        except OSError:
            known = []  # the frontend does not listen yet, or no more
        # The process of a worker that is being started has no number yet.
        self._seen |= {worker["pid"] for worker in known if worker["pid"] > 0}
        # TorchServe notices a death later than we do.
        loaded = {worker["pid"] for worker in known if worker["status"] == "READY"} - died
        for pid in self._workers.keys() - loaded:
            os.close(self._workers.pop(pid))
        for pid in loaded - self._workers.keys():
            with suppress(ProcessLookupError):
                self._workers[pid] = os.pidfd_open(pid)
        self.ready = bool(self._workers)
        self._was_ready = self._was_ready or self.ready


def _handler(supervisor: Supervisor) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            ready = self.path == "/ready" and supervisor.ready
            body = b"" if supervisor.release is None else json.dumps({"release": supervisor.release}).encode()
            self.send_response(http.HTTPStatus.OK if ready else http.HTTPStatus.SERVICE_UNAVAILABLE)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Write nothing: there is a question a second."""

    return Handler

"""The parent of the Java frontend in a container: passes signals on, and says whether it can predict.

TorchServe's ``/ping`` answers before any worker has loaded the model, and a worker that cannot load it
is started again for ever. So a process of ours asks the management API once a second: the answer is at
``GET /ready`` for a gateway, and a model that cannot be loaded ends the server with one line.
"""

from __future__ import annotations

import http.server
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from serving.torchserve.state import workers

POLL_S = 1.0
MAX_STARTS = 3
"""So many workers may die before one has loaded the model."""
CANNOT_LOAD = 2


class Supervisor:
    """One frontend; :meth:`run` returns its exit code."""

    def __init__(self, model: str, workdir: Path, management_port: int) -> None:
        self.model, self.workdir, self.management_port = model, workdir, management_port
        self.ready = False
        self._seen: set[int] = set()  # workers that were started before one was ready

    def run(self, argv: Sequence[str], environment: Mapping[str, str], listen: tuple[str, int] | None) -> int:
        """Start it, watch it, end with it. ``listen`` is where ``GET /ready`` is answered."""
        child = subprocess.Popen(argv, env=environment, cwd=self.workdir)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: child.terminate())
        if listen is not None:
            server = http.server.ThreadingHTTPServer(listen, _handler(self))
            threading.Thread(target=server.serve_forever, daemon=True).start()
        was_ready = False
        while True:
            try:
                code = child.wait(POLL_S)
                return code if code >= 0 else 128 - code
            except subprocess.TimeoutExpired:
                self.ready = self._ask()
                was_ready = was_ready or self.ready
            if not was_ready and len(self._seen) >= MAX_STARTS:
                child.terminate()
                child.wait()
                print(
                    f"torchserve: {self.model}.mar cannot be loaded; the workers say why above. Package the model "
                    f"again: slipway package {self.model} torchserve; with docker compose: "
                    "docker compose run --rm build",
                    file=sys.stderr,
                )
                return CANNOT_LOAD

    def _ask(self) -> bool:
        try:
            known = workers(self.model, self.management_port, self.workdir)
        except OSError:
            return False  # the frontend does not listen yet, or no more
        # The process of a worker that is being started has no number yet.
        self._seen |= {worker["pid"] for worker in known if worker["pid"] > 0}
        return any(worker["status"] == "READY" for worker in known)


def _handler(supervisor: Supervisor) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ready = self.path == "/ready" and supervisor.ready
            self.send_response(http.HTTPStatus.OK if ready else http.HTTPStatus.SERVICE_UNAVAILABLE)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """No line of log a question."""

    return Handler

"""Serves the files of a payload on loopback, as a web site would: with types, and isolated so that threads work."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""With these, a page may share memory between threads: https://web.dev/articles/coop-coep"""
TYPES = {".wasm": "application/wasm", ".mjs": "text/javascript", ".js": "text/javascript", ".json": "application/json"}


class PayloadSite:
    """A folder at ``url``, a loopback address with a free port, until ``close``. ``sent_bytes`` counts bodies."""

    def __init__(self, folder: Path) -> None:
        self.sent_bytes = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self._count, directory=str(folder)))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _count(self, size: int) -> None:
        with self._lock:
            self.sent_bytes += size

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    extensions_map: Mapping[str, str] = {**SimpleHTTPRequestHandler.extensions_map, **TYPES}  # type: ignore[assignment]

    def __init__(self, count: Any, *args: Any, **options: Any) -> None:
        self._count = count
        super().__init__(*args, **options)

    def end_headers(self) -> None:
        for name, value in {**ISOLATED, "Cache-Control": "no-cache"}.items():
            self.send_header(name, value)
        super().end_headers()

    def copyfile(self, source: Any, outputfile: IO[bytes]) -> None:  # type: ignore[override]
        content = source.read()
        self._count(len(content))
        outputfile.write(content)

    def list_directory(self, path: Any) -> None:  # noqa: ARG002
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the browser's own record has every request."""

"""A visitor of the page: what a browser sends, and what can be sent instead."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit


class Visitor:
    """Opens the address, keeps the cookie and the page's CSRF token, and sends both as a browser does."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.host, self.opening = parts.netloc, f"{parts.path}?{parts.query}"
        status, headers, page = self.raw("GET", self.opening)
        assert status == 200, page
        self.page, self.headers = page.decode(), headers
        self.cookie = headers["set-cookie"].partition(";")[0]
        found = re.search(r'<meta name="csrf" content="([^"]+)">', self.page)
        assert found
        self.csrf = found[1]

    @property
    def port(self) -> int:
        return int(self.host.partition(":")[2])

    def raw(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send these headers only; ``_`` stands for ``-``, and None leaves one out."""
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str, **changed: str | None) -> tuple[int, dict[str, str], bytes]:
        return self.raw("GET", path, **{"cookie": self.cookie, **changed})

    def post(
        self, path: str, body: bytes | Iterator[bytes], **changed: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send as the page's scripts do, but for what is ``changed``."""
        headers: dict[str, str | None] = {
            "cookie": self.cookie,
            "origin": f"http://{self.host}",
            "x_slipway_csrf": self.csrf,
            "content_type": "application/json",
        }
        return self.raw("POST", path, body, **{**headers, **changed})

    def ask(self, body: Any, **changed: str | None) -> dict[str, list[dict[str, Any]]]:
        """Ask every server; return the items of the answer by their kind."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, answer = self.post("/ask", content, **changed)
        assert status == 200, answer
        found: dict[str, list[dict[str, Any]]] = {}
        for line in answer.splitlines():
            item = json.loads(line)
            found.setdefault(item["kind"], []).append(item)
        assert len(found["done"]) == 1
        return found

    def events(self) -> Iterator[tuple[str, Any]]:
        """Yield what happens: name and data of each event."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request("GET", "/events", headers={"cookie": self.cookie})
            stream = connection.getresponse()
            assert stream.status == 200
            name = ""
            while line := stream.readline().decode().rstrip("\n"):
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield name, json.loads(line.removeprefix("data: "))
                if line.startswith((":", "data: ")):
                    stream.readline()  # the empty line after it
        finally:
            connection.close()

"""Turn the bytes of a connection into HTTP/1.1 requests, parsed by llhttp (httptools)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from serving.limits import Held, Share
from serving.tf_serving.rest_api.message import MalformedError, Request

log = logging.getLogger(__name__)

MAX_HEAD = 65_536
"""Limit in bytes of a head, and of the bytes between two pieces of a chunked body or after the last one."""


class RequestReader:
    """Passes each request to ``begin`` when its head is complete; the body follows. The parser calls ``on_`` methods.

    Malformed bytes become a request that is refused. ``max_body`` limits bodies, ``held`` all bodies of the server
    together; ``send`` sends interim answers.
    """

    def __init__(
        self, max_body: int, held: Held, send: Callable[[bytes], None], begin: Callable[[Request], None]
    ) -> None:
        self.arriving: Request | None = None  # the request whose body is still arriving
        self.is_in_head = False
        self.listens = True  # False: further bytes are ignored
        self._is_last = False  # no request may follow the one that is arriving
        self._max_body, self._held, self._send, self._begin = max_body, held, send, begin
        self._parser = HttpRequestParser(self)
        self._offers = False  # the head just read offers to change the protocol
        self._bare = 0  # bytes since the last end of a head or piece of a body

    def feed(self, data: bytes) -> None:
        """Parse the next bytes of the connection."""
        self._bare += len(data)
        while data and self.listens:
            try:
                self._parser.feed_data(data)
                data = b""
            except HttpParserUpgrade as offer:
                if not self._offers:  # CONNECT: the bytes that follow are not HTTP
                    self.listens = False
                    return
                data = self._decline() + data[offer.args[0] :]
            except HttpParserError as error:
                self._refuse(error)
        if self._bare > MAX_HEAD:
            self._refuse(MalformedError(f"a head or a trailer is larger than {MAX_HEAD} bytes"))

    def end(self) -> None:
        """Accept no request after the one that is arriving."""
        self._is_last = True
        self.listens = self.arriving is not None

    def drop(self) -> None:
        """Ignore everything that arrives from now on."""
        self.listens, self.arriving = False, None

    def _refuse(self, error: Exception) -> None:
        if not self.listens:
            return  # bytes after the last request
        log.debug("Malformed request: %.200s", error)
        arriving = self.arriving
        self.drop()
        if arriving is not None:
            arriving.break_off(MalformedError())
        else:
            request = Request("", "1.1", b"", {}, 0, self._send, Share(self._held))
            request.refused = HTTPStatus.BAD_REQUEST
            self._begin(request)

    def _decline(self) -> bytes:
        """Rebuild the head without its offer to change the protocol, with which httptools would skip the body."""
        lines = [b"%s: %s\r\n" % item for item in self._headers.items() if item[0] != b"upgrade"]
        version = self._parser.get_http_version().encode()
        head = b"%s %s HTTP/%s\r\n%s\r\n" % (self._parser.get_method(), self._url, version, b"".join(lines))
        self._parser, self._offers = HttpRequestParser(self), False
        return head

    # -- called by the parser -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.is_in_head = True
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._head_size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_in_head:
            return  # it belongs to a trailer
        name = name.lower()
        self._head_size += len(name) + len(value) + 4  # ": " and the end of the line
        if name == b"host" and name in self._headers:
            raise MalformedError("more than one Host header")
        self._headers.setdefault(name, value)

    def on_headers_complete(self) -> None:
        self._bare, self.is_in_head = 0, False
        method, version = self._parser.get_method().decode(), self._parser.get_http_version()
        if self._parser.should_upgrade() and method != "CONNECT":
            self._offers = True
            return
        if version not in ("1.1", "1.0") or self._head_size > MAX_HEAD:
            raise MalformedError(f"HTTP/{version}, or a head larger than {MAX_HEAD} bytes; HTTP/1.0 and 1.1 are served")
        if not self.listens:
            return
        share = Share(self._held)
        request = Request(method, version, self._url, self._headers, self._max_body, self._send, share)
        request.keeps_alive = self._parser.should_keep_alive()
        if request.header(b"transfer-encoding").strip().lower() not in ("", "chunked"):
            request.refused = HTTPStatus.NOT_IMPLEMENTED
            self.drop()
        else:
            self.arriving = request
        self._begin(request)

    def on_body(self, data: bytes) -> None:
        self._bare = 0
        if self.arriving is not None:
            self.arriving.feed(data)

    def on_message_complete(self) -> None:
        self._bare = 0
        if self.arriving is not None:
            self.arriving.complete()
            self.listens = self.arriving.keeps_alive and not self._is_last
            self.arriving = None

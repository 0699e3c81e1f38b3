"""Reads HTTP/1.1 responses from a stream of bytes, in the order of arrival, bounded; llhttp parses (httptools).

Added here: the end of a body without a length, interim responses (1xx), which are skipped, bounds on the head and on
the body, and bytes after the end. An empty line after a response is skipped.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_HEAD = 64 * 1024
"""Bytes of the head, and of what may stand between two pieces of a chunked body or after the last."""
MAX_BODY = 256 * 2**20


class BadResponseError(Exception):
    """The bytes are not an HTTP/1.1 response, or it is larger than a limit."""


class ResponseReader:
    """One response after another. Feed bytes until ``complete``; then read ``status`` and ``body``; then ``reset``.

    ``reusable`` says whether the connection may carry another request. The ``on_`` methods are the parser's to call.
    """

    __slots__ = (
        "_bare", "_framing", "_parser", "_parts", "_size", "_with_bodies", "complete", "on_body", "reusable", "status"
    )  # fmt: skip

    def __init__(self, with_bodies: bool = True) -> None:
        """``with_bodies`` is False for answers to HEAD, which end with their head, whatever length it tells."""
        self._with_bodies = with_bodies
        self._parts: list[bytes] = []
        self.on_body = self._parts.append  # no frame of Python: most of the bytes pass here
        self.reusable = False
        self.reset()

    def reset(self) -> None:
        """Makes it ready for the next response."""
        if not self.reusable or not self._with_bodies:
            self._parser = HttpResponseParser(self)  # the last one takes nothing after the end of a connection
        self.status = 0
        self.complete = False
        self.reusable = True
        self._parts.clear()
        self._size = 0  # bytes fed so far
        self._bare = 0  # bytes of the newest pieces that held nothing of the body, once there are many
        self._framing: tuple[bytes, bytes] | None = None  # the header that says how long the body is

    @property
    def body(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def feed(self, data: bytes) -> bool:
        """Take bytes of the response; return True if it is complete with them.

        Raises:
            BadResponseError: see there.
        """
        size = self._size + len(data)
        if size > MAX_HEAD:
            self._feed_many(memoryview(data))
            return self.complete
        self._size = size
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._stopped(error, data)
        return self.complete

    def end_of_stream(self) -> bool:
        """Tell if the end of the connection completes the response."""
        if self.status and not self._framing:
            self.complete = True
        return self.complete

    def _feed_many(self, data: memoryview) -> None:
        """Feeds the bytes of a response with more of them than a head may have: up to that bound, then the rest."""
        room = max(0, MAX_HEAD - self._size)
        for piece in (data[:room], data[room:]):
            before = len(self._parts)
            self._size += len(piece)
            try:
                self._parser.feed_data(piece)
            except HttpParserError as error:
                self._stopped(error, bytes(piece))
            self._bare = 0 if len(self._parts) > before else self._bare + len(piece)
            if not self.complete and (not self.status or self._bare > MAX_HEAD):
                raise BadResponseError(f"more than {MAX_HEAD:,} bytes of the response without one of its body")
            if self._size > MAX_BODY + MAX_HEAD:
                raise BadResponseError(f"the answer is larger than {MAX_BODY:,} bytes")

    def _stopped(self, error: HttpParserError, data: bytes) -> None:
        """Decides on the bytes that the parser stopped at."""
        if isinstance(error, HttpParserUpgrade):
            self._decline(data[error.args[0] :])
        elif self.complete:
            self.reusable = False  # bytes that belong to no request
        elif isinstance(error.__context__, BadResponseError):
            raise error.__context__ from None
        else:
            raise BadResponseError(f"not an HTTP/1.1 response ({error}): {data[:60]!r}") from error

    def _decline(self, rest: bytes) -> None:
        """Goes on after a head that offers another protocol (Apache's do): httptools would skip the body."""
        head = b"HTTP/1.1 %d\r\n%s\r\n" % (self.status, b"%s: %s\r\n" % self._framing if self._framing else b"")
        reusable = self.reusable
        self.reusable = False  # of this parser
        self.reset()
        self.feed(head + rest)
        self.reusable = self.reusable and reusable

    # -- called by the parser -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            raise BadResponseError("bytes after the end")

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 14 and name.lower() == b"content-length":
            if int(value) > MAX_BODY and self._with_bodies:
                raise BadResponseError(f"the answer has {int(value):,} bytes; the limit is {MAX_BODY:,}")
        elif len(name) == 17 and name.lower() == b"transfer-encoding":
            if value.strip().lower() != b"chunked":
                raise BadResponseError(f"transfer encoding {value[:40]!r} was not asked for")
        else:
            return
        if not self.status:  # not in the trailer
            self._framing = name, value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 101:
            raise BadResponseError("the server switches to a protocol that was not asked for")
        if status >= 200:
            self.status = status
            self.reusable = self._parser.should_keep_alive()
            self.complete = not self._with_bodies

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True
        else:
            self._framing = None  # of an interim response

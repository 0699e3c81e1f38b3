"""Reads HTTP/1.1 responses from a stream of bytes: pure, in the order of arrival, bounded.

Framing follows RFC 9112, section 6.3: no body for 204 and 304, else chunked, else Content-Length,
else until the connection closes. Interim responses (1xx) are skipped.
"""

from __future__ import annotations

MAX_HEAD = 64 * 1024
MAX_BODY = 256 * 2**20
_END = b"\r\n\r\n"
_MOST_KNOWN = 256
_KNOWN: dict[bytes, tuple[int, bool, int | None, bool]] = {}
"""What heads say that have been read: a server's are mostly the same, but for a date."""


class BadResponseError(Exception):
    """The bytes are not an HTTP/1.1 response, or it is larger than a limit."""


class ResponseReader:
    """One response after another. Feed bytes until ``complete``; then read ``status`` and ``body``; then ``reset``.

    ``reusable`` says whether the connection may carry another request.
    """

    __slots__ = ("_chunked", "_data", "_expects", "_left", "_parts", "_size", "complete", "reusable", "status")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.status = 0
        self.complete = False
        self.reusable = True
        self._data = b""  # not yet understood: a part of the head, or of a chunk's frame
        self._parts: list[bytes] = []
        self._size = 0
        self._left: int | None = 0  # bytes of the body, or of the chunk, still to come; None: until the stream ends
        self._chunked = False
        self._expects = "size"  # what the next line of a chunked body is

    @property
    def body(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def feed(self, data: bytes) -> bool:
        """Whether the response is now complete.

        Raises:
            BadResponseError: see there.
        """
        if not self.status:
            if self._data:
                data = self._data + data
                self._data = b""
            while not self.status:
                end = data.find(_END, 0, MAX_HEAD)
                if end < 0:
                    if len(data) >= MAX_HEAD:
                        raise BadResponseError(f"the head of the response is larger than {MAX_HEAD:,} bytes")
                    self._data = data
                    return False
                self._head(data[:end])
                data = data[end + len(_END) :]
        if self._chunked:
            self._chunks(data)
        else:
            self._plain(data)
        return self.complete

    def end_of_stream(self) -> bool:
        """The connection was closed: whether that completes the response."""
        if self.status and self._left is None and not self._chunked:
            self.complete = True
        return self.complete

    def _head(self, head: bytes) -> None:
        known = _KNOWN.get(head)
        if known is not None:
            self.status, self.reusable, self._left, self._chunked = known
            return
        self._read_head(head)
        if self.status:
            if len(_KNOWN) >= _MOST_KNOWN:
                _KNOWN.clear()
            _KNOWN[head] = self.status, self.reusable, self._left, self._chunked

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        version, _, rest = first.partition(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not rest[:3].isdigit() or rest[3:4] not in (b"", b" "):
            raise BadResponseError(f"not the first line of an HTTP/1.1 response: {first[:60]!r}")
        status = int(rest[:3])
        if 100 <= status < 200 and status != 101:
            return
        self.status = status
        self.reusable = version == b"HTTP/1.1"
        self._left = None
        for line in lines:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"content-length":
                self._length(value.strip())
            elif name == b"transfer-encoding":
                self._chunked = value.strip().lower() == b"chunked"
                if not self._chunked:
                    raise BadResponseError(f"transfer encoding {value.strip()[:40]!r} was not asked for")
            elif name == b"connection":
                tokens = value.lower()
                self.reusable = b"close" not in tokens and (self.reusable or b"keep-alive" in tokens)
        if status in (204, 304):
            self._left, self._chunked = 0, False
        elif self._chunked:
            self._left = 0
        elif self._left is None:
            self.reusable = False

    def _length(self, value: bytes) -> None:
        if not value.isdigit() or len(value) > 12 or self._left not in (None, int(value)):
            raise BadResponseError(f"not a content length: {value[:40]!r}")
        self._left = int(value)
        if self._left > MAX_BODY:
            raise BadResponseError(f"the answer has {self._left:,} bytes; the limit is {MAX_BODY:,}")

    def _plain(self, data: bytes) -> None:
        if self._left is not None:
            if len(data) > self._left:
                data = data[: self._left]
                self.reusable = False  # bytes that belong to no request
            self._left -= len(data)
            self.complete = self._left == 0
        self._take(data)

    def _chunks(self, data: bytes) -> None:
        data = self._data + data
        self._data = b""
        while data and not self.complete:
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                self._take(piece)
                continue
            line, end, rest = data.partition(b"\r\n")
            if not end:
                if len(data) > MAX_HEAD:
                    raise BadResponseError(f"a line of the chunked body is larger than {MAX_HEAD:,} bytes")
                self._data = data
                return
            data = rest
            self._chunk_line(line)
        if data:
            self.reusable = False  # bytes that belong to no request

    def _chunk_line(self, line: bytes) -> None:
        if self._expects == "size":
            size = line.partition(b";")[0].strip()
            if not size or len(size) > 8 or size.strip(b"0123456789abcdefABCDEF"):
                raise BadResponseError(f"not a chunk's size: {size[:40]!r}")
            self._left = int(size, 16)
            if self._size + self._left > MAX_BODY:
                raise BadResponseError(f"the answer is larger than {MAX_BODY:,} bytes")
            self._expects = "end of chunk" if self._left else "trailer"
        elif self._expects == "end of chunk":
            if line:
                raise BadResponseError("a chunk does not end where its size says")
            self._expects = "size"
        elif not line:  # the empty line after the trailer
            self.complete = True

    def _take(self, data: bytes) -> None:
        if data:
            self._size += len(data)
            if self._size > MAX_BODY:
                raise BadResponseError(f"the answer is larger than {MAX_BODY:,} bytes")
            self._parts.append(data)

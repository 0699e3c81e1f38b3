"""Bodies of REST requests: received and decompressed within bounds.

Work and memory are bounded by the bytes that were received: a body is decompressed to at most ``ratio`` times its
size, and never to more than ``size``; JSON with more values than :data:`MAX_VALUES` is not parsed, since each is a
Python object of 40 bytes or more. How deep JSON may be nested is orjson's own limit, 1,024.
"""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from serving.open_inference.errors import BodyError, TooManyValues

MAX_VALUES = 4_000_000
"""Values of one request that are not binary; a batch of 16 pictures of 224x224 has 2.4 million."""
BODY_S = 60.0
"""So long a body may take to arrive."""
_ALWAYS = 2**20  # a body may be decompressed to so much, whatever its ratio: an empty picture packs well
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Bounds:
    """``size``: bytes of one body, received or decompressed. ``ratio``: how many times its size it may become."""

    size: int = 64 * 2**20
    ratio: int = 100


class Bodies:
    """Reads bodies. Those that are on their way may together be twice as large as the largest one."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._held = 0

    async def read(self, request: Request) -> bytes:
        """The decompressed body. Raises BodyError."""
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", "gzip", "deflate"):
            raise BodyError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"the content encoding must be gzip or deflate. Received: {coding:.30}",
            )
        self._check(int(request.headers.get("content-length", 0)))
        try:
            async with asyncio.timeout(BODY_S):
                body = await self._receive(request)
        except TimeoutError as error:
            raise BodyError(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {BODY_S:.0f} s") from error
        except ClientDisconnect as error:
            raise BodyError(HTTPStatus.BAD_REQUEST, "the client left in the middle of the body") from error
        return body if coding == "identity" else self._decompressed(body)

    async def _receive(self, request: Request) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                self._held += len(chunk)
                self._check(size)
                if self._held > 2 * self._bounds.size:
                    raise BodyError(HTTPStatus.SERVICE_UNAVAILABLE, "too many bodies are on their way; try again")
                chunks.append(chunk)
        finally:
            self._held -= size
        return b"".join(chunks)

    def _check(self, size: int) -> None:
        if size > self._bounds.size:
            raise BodyError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {self._bounds.size} bytes. Received: {size}"
            )

    def _decompressed(self, body: bytes) -> bytes:
        """One gzip or zlib stream; several in a row could cost more time than their bytes are worth."""
        limit = min(self._bounds.size, max(_ALWAYS, self._bounds.ratio * len(body)))
        stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            content = stream.decompress(body, limit + 1)
        except zlib.error as error:
            raise BodyError(HTTPStatus.BAD_REQUEST, f"the body cannot be decompressed: {error}") from error
        if len(content) > limit:
            raise BodyError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a body of {len(body)} bytes may be decompressed to {limit}. Received: more",
            )
        if not stream.eof or stream.unused_data:
            raise BodyError(HTTPStatus.BAD_REQUEST, "a compressed body must be one whole stream, and nothing after it")
        return content


def check_values(text: bytes) -> None:
    """Raises TooManyValues for JSON that would be many times as large when it is parsed."""
    check_count(text.count(b",") + 2 * (text.count(b"[") + text.count(b"{")))


def check_count(values: int) -> None:
    """Raises TooManyValues for more than may become Python objects."""
    if values > MAX_VALUES:
        raise TooManyValues(
            f"a request may have {MAX_VALUES} values; a list in JSON counts as two. Received: {values}. "
            "Send them as binary data"
        )

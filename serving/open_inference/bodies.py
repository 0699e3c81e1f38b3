"""Bodies of requests: received and decompressed within bounds.

Work and memory are bounded by the bytes that were received: a body is decompressed to at most ``ratio`` times its
size, and never to more than ``size``; JSON with more values than :data:`MAX_VALUES` is not parsed, since each is a
Python object of 40 bytes or more. How deep JSON may be nested is orjson's own limit, 1,024.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from serving.limits import Held, Share
from serving.open_inference.errors import BodyError, TooManyValues

MAX_VALUES = 4_000_000
"""Values of one request that are not binary; a batch of 16 pictures of 224x224 has 2.4 million."""
BODY_S = 60.0
"""So long a body may take to arrive."""
_ALWAYS = 2**20  # a body may be decompressed to so much, whatever its ratio: an empty picture packs well
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of requests, over REST and gRPC.

    ``size``: bytes of one body, received or decompressed. ``ratio``: how many times its size it may become.
    ``together``: bytes of all bodies that the server holds, half-sent ones included.
    """

    size: int = 64 * 2**20
    ratio: int = 100
    together: int = 128 * 2**20


class Bodies:
    """Reads bodies, within ``bounds`` and all together within ``held``."""

    def __init__(self, bounds: Bounds, held: Held) -> None:
        self._bounds, self._held = bounds, held

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Count the bytes of one request, until it is answered."""
        share = Share(self._held)
        try:
            yield share
        finally:
            share.give_back()

    async def read(self, request: Request, share: Share) -> bytes:
        """Return the body as it was sent. Raises BodyError."""
        if _coding(request) not in ("identity", "gzip", "deflate"):
            raise BodyError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"the content encoding must be gzip or deflate. Received: {_coding(request):.30}",
            )
        self._check(int(request.headers.get("content-length", 0)))
        try:
            async with asyncio.timeout(BODY_S):
                return await self._receive(request, share)
        except TimeoutError as error:
            raise BodyError(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {BODY_S:.0f} s") from error
        except ClientDisconnect as error:
            raise BodyError(HTTPStatus.BAD_REQUEST, "the client left in the middle of the body") from error

    async def _receive(self, request: Request, share: Share) -> bytes:
        chunks: list[bytes] = []
        async for chunk in request.stream():
            self._hold(share, len(chunk))
            self._check(share.bytes)
            chunks.append(chunk)
        return b"".join(chunks)

    def _hold(self, share: Share, size: int) -> None:
        if not share.add(size):
            raise BodyError(HTTPStatus.SERVICE_UNAVAILABLE, self._held.refusal)

    def _check(self, size: int) -> None:
        if size > self._bounds.size:
            raise BodyError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {self._bounds.size} bytes. Received: {size}"
            )

    def decompressed(self, request: Request, body: bytes, share: Share) -> bytes:
        """Return the body, decompressed if it has to be. Raises BodyError.

        One gzip or zlib stream; several in a row could cost more time than their bytes are worth.
        """
        if _coding(request) == "identity":
            return body
        limit = min(self._bounds.size, max(_ALWAYS, self._bounds.ratio * len(body)))
        stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            content = stream.decompress(body, limit + 1)
        except zlib.error as error:
            raise BodyError(HTTPStatus.BAD_REQUEST, f"the body cannot be decompressed: {error}") from error
        self._hold(share, len(content))
        if len(content) > limit:
            raise BodyError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a body of {len(body)} bytes may be decompressed to {limit}. Received: more",
            )
        if not stream.eof or stream.unused_data:
            raise BodyError(HTTPStatus.BAD_REQUEST, "a compressed body must be one whole stream, and nothing after it")
        return content


def _coding(request: Request) -> str:
    return request.headers.get("content-encoding", "identity").strip().lower()


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

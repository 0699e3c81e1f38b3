"""Bodies of REST requests and answers: limits, and gzip in both directions."""

from __future__ import annotations

import zlib
from collections.abc import Callable

GZIP = "gzip"
MIN_COMPRESSED = 1400
"""Bytes of an answer that make compressing it worth while: less fits into one packet anyway."""

FREE = 2**20
"""Bytes that a body of any size may decompress to: the ratio is asked for beyond them."""
MAX_MEMBERS = 10_000
"""Of one gzipped body: each costs some microseconds, even if there is nothing in it."""
_FIRST_STEP = 512  # bytes: of a piece, those after the end of a member are copied
_LARGEST_STEP = 64 * 1024
_LARGEST_PART = 2**20  # bytes made at once: what is done for nothing after a client left

_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib.h: 16 more than the window says gzip
_LEVEL = 1  # numbers in JSON hardly get smaller at higher levels, which cost several times the CPU


class BodyTooLargeError(Exception):
    """A body has more bytes than are allowed, once decompressed."""


class ExpectationError(Exception):
    """A request expects what this server does not know."""


def decompressed(body: bytes, limit: int, ratio: int, check: Callable[[], None]) -> bytes:
    """The content of a gzipped body; nothing if it is none, as tensorflow/serving reads it.

    ``check`` is called again and again, and raises if nobody wants the content any more.

    Raises:
        BodyTooLargeError: more than ``limit`` bytes, or more than FREE and ``ratio`` times those of the body, or too
            many members. No more than those are ever made.
    """
    most = min(limit, max(FREE, ratio * len(body)))
    source, size, at = memoryview(body), 0, 0
    parts: list[bytes] = []
    try:
        for _ in range(MAX_MEMBERS):  # one after another (RFC 1952)
            if at == len(source):
                return b"".join(parts)
            member, step = zlib.decompressobj(_GZIP_WINDOW), _FIRST_STEP
            while not member.eof:
                check()
                piece: bytes | memoryview = member.unconsumed_tail
                if not piece:
                    piece = source[at : at + step]
                    at += len(piece)
                    step = min(2 * step, _LARGEST_STEP)
                part = member.decompress(piece, min(_LARGEST_PART, most - size + 1))
                if not piece and not part:
                    return b""  # cut off
                size += len(part)
                if size > most:
                    raise BodyTooLargeError
                parts.append(part)
            at -= len(member.unused_data)
    except zlib.error:
        return b""
    raise BodyTooLargeError


def compressed(body: bytes) -> bytes:
    """``body``, gzipped."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return packer.compress(body) + packer.flush()


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header wants gzip (RFC 9110, 12.5.3)."""
    for item in accept_encoding.split(","):
        coding, _, weight = item.partition(";")
        if coding.strip().lower() in (GZIP, "*"):
            return weight.replace(" ", "").rstrip("0").rstrip(".") not in ("q=", "q=0")
    return False

"""Bodies of REST requests and answers: limits, and gzip in both directions."""

from __future__ import annotations

import zlib

GZIP = "gzip"
MIN_COMPRESSED = 1400
"""Bytes of an answer that make compressing it worth while: less fits into one packet anyway."""

_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib.h: 16 more than the window says gzip
_LEVEL = 1  # numbers in JSON hardly get smaller at higher levels, which cost several times the CPU


class BodyTooLargeError(Exception):
    """A body has more bytes than are allowed, once decompressed."""


class ExpectationError(Exception):
    """A request expects what this server does not know."""


def decompressed(body: bytes, limit: int) -> bytes:
    """The content of a gzipped body; nothing if it is none, as tensorflow/serving reads it.

    Raises:
        BodyTooLargeError: more than ``limit`` bytes. No more than those are ever made.
    """
    parts, size = [], 0
    try:
        while body:  # one member after another (RFC 1952)
            member = zlib.decompressobj(_GZIP_WINDOW)
            part = member.decompress(body, limit + 1 - size)
            size += len(part)
            if size > limit:
                raise BodyTooLargeError
            if not member.eof:
                return b""  # cut off
            parts.append(part)
            body = member.unused_data
    except zlib.error:
        return b""
    return b"".join(parts)


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

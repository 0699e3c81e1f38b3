"""Gzip for the bodies of REST requests and answers, within limits."""

from __future__ import annotations

import zlib

from serving.tf_serving.base.deadlines import check, hold

GZIP = "gzip"
MIN_COMPRESSED = 1400
"""Smallest answer, in bytes, that is compressed: a smaller one fits into one packet anyway."""

FREE = 2**20
"""Bytes that any body may decompress to; the ratio limits only what goes beyond them."""
MAX_MEMBERS = 10_000
"""Members allowed in one gzipped body: each costs some microseconds, even an empty one."""
_FIRST_STEP = 512  # bytes; kept small because zlib copies what follows the end of a member
_LARGEST_STEP = 64 * 1024
_LARGEST_PART = 2**20  # bytes made at once: the most work that is wasted after a client has left

_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib.h: adding 16 to the window bits selects gzip
_LEVEL = 1  # numbers in JSON hardly get smaller at higher levels, which cost several times the CPU


class BodyTooLargeError(Exception):
    """A body is larger than allowed, as sent or decompressed."""


class ExpectationError(Exception):
    """A request has an Expect header that this server does not support."""


def decompressed(body: bytes, limit: int, ratio: int) -> bytes:
    """Decompress a gzipped body; return empty bytes for invalid gzip, as tensorflow/serving does.

    Raises:
        BodyTooLargeError: the content exceeds ``limit`` bytes, or both FREE and ``ratio`` times the size of the body,
            or there are too many members. Decompressing stops there.
        ServingError: the content is no longer wanted, or there is no room for it.
    """
    most = min(limit, max(FREE, ratio * len(body)))
    source, size, at = memoryview(body), 0, 0
    parts: list[bytes] = []
    try:
        for _ in range(MAX_MEMBERS):  # a gzip file is one or more members (RFC 1952)
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
                hold(len(part))
                parts.append(part)
            at -= len(member.unused_data)
    except zlib.error:
        return b""
    raise BodyTooLargeError


def compressed(body: bytes) -> bytes:
    """Compress ``body`` with gzip."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return packer.compress(body) + packer.flush()


def accepts_gzip(accept_encoding: str) -> bool:
    """Return True if an Accept-Encoding header accepts gzip (RFC 9110, 12.5.3)."""
    for item in accept_encoding.split(","):
        coding, _, weight = item.partition(";")
        if coding.strip().lower() in (GZIP, "*"):
            return weight.replace(" ", "").rstrip("0").rstrip(".") not in ("q=", "q=0")
    return False

"""Encode and decode gRPC over HTTP/2: length-prefixed messages, and a status in the trailing fields of an answer.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from urllib.parse import quote_from_bytes, unquote_to_bytes

CONTENT_TYPE = b"application/grpc"
PREFIX_BYTES = 5
CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Names of the status codes by number, the same in google.rpc.Code, absl::Status and tensorflow.error.Code."""

_PREFIX = struct.Struct(">BL")
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if code != 0x25)
_UNITS_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
ENCODINGS = b"identity, deflate, gzip"
FREE = 2**20
"""Bytes that any message may decompress to; the ratio limits only what goes beyond them."""
_PIECE = 64 * 1024  # bytes given to zlib at once, which copies what it does not use
_LARGEST_PART = 2**20  # bytes made at once: the most work that is wasted after a client has left


class MessageError(Exception):
    """A body is not exactly one valid message; ``code`` is the status to answer with."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def prefix(size: int) -> bytes:
    """Encode the prefix of an uncompressed message of ``size`` bytes."""
    return _PREFIX.pack(0, size)


def declared_size(start: bytes) -> int:
    """Decode the size in a prefix; ``start`` has five bytes or more."""
    size: int = _PREFIX.unpack_from(start)[1]
    return size


def _counted_nowhere(_size: int) -> None:
    """Accept any growth."""


def message(
    body: bytes | bytearray,
    encoding: bytes = b"identity",
    limit: int = 2**31 - 1,
    ratio: int = 100,
    grow: Callable[[int], None] = _counted_nowhere,
) -> bytes:
    """Return the single message of a body; ``grow`` is called with the size of each part that is decompressed.

    Raises:
        MessageError: UNIMPLEMENTED, no message or more than one, or an unknown encoding (gRPC's
            doc/statuscodes.md); INTERNAL, an incomplete message, or a compressed one without an encoding;
            RESOURCE_EXHAUSTED, over ``limit`` bytes decompressed, or over both FREE and ``ratio`` times the size.
        Exception: from ``grow``, which stops the work.
    """
    have = len(body) - PREFIX_BYTES
    if not body:
        raise MessageError("UNIMPLEMENTED", "a unary call without a message")
    if have < 0:
        raise MessageError("INTERNAL", f"an incomplete gRPC message: {len(body)} bytes")
    flag, size = _PREFIX.unpack_from(body)
    if size > have:
        raise MessageError("INTERNAL", f"an incomplete gRPC message: {have} of {size} bytes")
    if size < have:
        raise MessageError("UNIMPLEMENTED", f"a unary call with more than one message: {have - size} bytes after it")
    content = body[PREFIX_BYTES:] if isinstance(body, bytes) else bytes(memoryview(body)[PREFIX_BYTES:])
    if flag == 0:
        return content
    return _decompressed(flag, content, encoding, min(limit, max(FREE, ratio * len(content))), grow)


def _decompressed(flag: int, content: bytes, encoding: bytes, most: int, grow: Callable[[int], None]) -> bytes:
    if flag != 1 or encoding == b"identity":
        raise MessageError("INTERNAL", f"a gRPC message with the compressed flag {flag} and encoding {encoding!r}")
    if encoding not in _WINDOW_BITS:
        raise MessageError("UNIMPLEMENTED", f"grpc-encoding {encoding.decode('ascii', 'replace')} is not known")
    reader = zlib.decompressobj(_WINDOW_BITS[encoding])
    source, at, size = memoryview(content), 0, 0
    parts: list[bytes] = []
    try:
        while not reader.eof:
            piece: bytes | memoryview = reader.unconsumed_tail
            if not piece:
                piece = source[at : at + _PIECE]
                at += len(piece)
            part = reader.decompress(piece, min(_LARGEST_PART, most - size + 1))
            if not piece and not part:
                break  # cut off
            size += len(part)
            if size > most:
                raise MessageError("RESOURCE_EXHAUSTED", f"a gRPC message of over {most} bytes")
            grow(len(part))
            parts.append(part)
    except zlib.error as error:
        raise MessageError("INTERNAL", f"a gRPC message that is not {encoding.decode()}: {error}") from error
    if not reader.eof or reader.unused_data or at < len(source):
        raise MessageError(
            "INTERNAL", f"a gRPC message that is not {encoding.decode()}: wrong end of the compressed data"
        )
    return b"".join(parts)


def timeout_s(value: bytes) -> float | None:
    """Decode a grpc-timeout field into seconds: one to eight digits and a unit; None if it is invalid."""
    digits, unit = value[:-1], _UNITS_S.get(value[-1:])
    if unit is None or not digits.isdigit() or len(digits) > 8:
        return None
    return int(digits) * unit


def encoded_text(text: str) -> bytes:
    """Encode a status message: printable ASCII, the rest percent-encoded."""
    return quote_from_bytes(text.encode("utf-8", "replace"), safe=_PRINTABLE).encode("ascii")


def decoded_text(value: bytes) -> str:
    """Decode a received status message."""
    return unquote_to_bytes(value).decode("utf-8", "replace")

"""Read and write HTTP/2 frames (RFC 9113, sections 4 and 6)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""The first bytes that a client sends (section 3.4)."""

# Plain numbers, because comparing members of an enumeration several times a request is slower.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384
LARGEST_FRAME = 2**24 - 1
LARGEST_WINDOW = 2**31 - 1

_HEAD = struct.Struct(">HBBBL")  # length in 24 bits, type, flags, stream
_SETTING = struct.Struct(">HL")
_NUMBER = struct.Struct(">L")
_TWO_NUMBERS = struct.Struct(">LL")

Frame = tuple[int, int, int, bytes]
"""Type, flags, stream and payload."""


class Code(IntEnum):
    """Error codes (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Http2Error(Exception):
    """The peer broke a rule, and the connection cannot go on (a connection error, section 5.4.1)."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class StreamError(Exception):
    """The peer broke a rule on one stream; the others go on (section 5.4.2)."""

    def __init__(self, stream: int, code: Code, message: str) -> None:
        super().__init__(message)
        self.stream = stream
        self.code = code


_SMALL = 4096


def add_piece(pieces: list[bytes | bytearray], data: bytes) -> None:
    """Append bytes to a list of pieces. Small pieces are merged, because each piece costs 40 more bytes of memory."""
    if len(data) >= _SMALL or not pieces:
        pieces.append(data)
    elif isinstance(pieces[-1], bytearray):
        pieces[-1] += data
    else:
        pieces.append(bytearray(data))


class FrameReader:
    """A splitter of received bytes into frames; ``limit`` is the largest payload announced to the peer, in bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes | bytearray] = []  # of a frame that is not complete yet
        self._have = 0
        self._need = 9

    def feed(self, data: bytes) -> list[Frame]:
        """Add received bytes, and return the frames that are now complete.

        Raises:
            Http2Error: FRAME_SIZE_ERROR, a frame is larger than the announced limit.
        """
        if self._parts:
            add_piece(self._parts, data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._parts)
            self._parts.clear()
        frames = []
        position, end = 0, len(data)
        while end - position >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, position)
            size = high << 8 | low
            if size > self._limit:
                raise Http2Error(Code.FRAME_SIZE_ERROR, f"a frame of {size} bytes; the limit is {self._limit}")
            after = position + 9 + size
            if after > end:
                self._need = 9 + size
                break
            frames.append((kind, flags, stream & 0x7FFFFFFF, data[position + 9 : after]))
            position = after
        else:
            self._need = 9
        if position < end:
            self._parts.append(data[position:])
            self._have = end - position
        return frames


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Encode one frame."""
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def head(kind: int, flags: int, stream: int, size: int) -> bytes:
    """Encode the nine bytes before a payload of ``size`` bytes."""
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream)


def settings(values: dict[int, int]) -> bytes:
    """Encode a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in values.items()))


MAX_SETTINGS = 32
"""Largest number of settings in one frame. Six are defined, and a few extensions exist."""


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Decode the settings of a frame, in order. Raises Http2Error if its size is wrong, or it has too many settings."""
    if len(payload) > MAX_SETTINGS * _SETTING.size:
        raise Http2Error(Code.ENHANCE_YOUR_CALM, f"a SETTINGS frame of {len(payload)} bytes")
    if len(payload) % _SETTING.size:
        raise Http2Error(Code.FRAME_SIZE_ERROR, f"a SETTINGS frame of {len(payload)} bytes")
    return list(_SETTING.iter_unpack(payload))


def window_update(stream: int, size: int) -> bytes:
    """Encode a WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, _NUMBER.pack(size))


def reset(stream: int, code: int) -> bytes:
    """Encode a RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, _NUMBER.pack(code))


def goaway(last_stream: int, code: Code, text: str = "") -> bytes:
    """Encode a GOAWAY frame."""
    return frame(GOAWAY, 0, 0, _TWO_NUMBERS.pack(last_stream, code) + text.encode("utf-8", "replace")[:256])


def read_goaway(payload: bytes) -> tuple[int, int, str]:
    """Decode the last stream, the error code and the text of a GOAWAY frame. Raises Http2Error if it is too short."""
    if len(payload) < _TWO_NUMBERS.size:
        raise Http2Error(Code.FRAME_SIZE_ERROR, f"a GOAWAY frame of {len(payload)} bytes")
    last, code = _TWO_NUMBERS.unpack_from(payload)
    return last & 0x7FFFFFFF, code, payload[8:264].decode("utf-8", "replace")


def code_name(code: int) -> str:
    """Return the name of an error code, or its number if it has no name."""
    return Code(code).name if code in Code._value2member_map_ else str(code)


def read_number(payload: bytes, what: str) -> int:
    """Decode a payload that is a single 32-bit number. Raises Http2Error if it has another size."""
    if len(payload) != _NUMBER.size:
        raise Http2Error(Code.FRAME_SIZE_ERROR, f"a {what} frame of {len(payload)} bytes")
    number: int = _NUMBER.unpack(payload)[0]
    return number


def without_padding(flags: int, payload: bytes) -> bytes:
    """Remove the padding of a DATA or HEADERS frame. Raises Http2Error if the padding is longer than the frame."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Error(Code.PROTOCOL_ERROR, "a frame with more padding than bytes")
    return payload[1 : len(payload) - payload[0]]


def data_frames(stream: int, body: bytes | memoryview, size: int, last: bool) -> Sequence[bytes | memoryview]:
    """Split a body into DATA frames of at most ``size`` bytes, as parts to be written one after the other."""
    view = memoryview(body)
    parts: list[bytes | memoryview] = []
    for start in range(0, len(view), size):
        chunk = view[start : start + size]
        ends = last and start + size >= len(view)
        parts += (head(DATA, END_STREAM if ends else 0, stream, len(chunk)), chunk)
    return parts

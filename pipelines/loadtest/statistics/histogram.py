"""Writes latencies as an HdrHistogram log, version 2 of its encoding, which HdrHistogram's tools read and plot.

Format: HdrHistogram (github.com/HdrHistogram/HdrHistogram), classes HistogramLogWriter and
AbstractHistogram, encodeIntoCompressedByteBuffer. Values are nanoseconds with three significant digits.
"""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

DIGITS = 3
HIGHEST_NS = 3_600 * 1_000_000_000
_SUB_BITS = 11  # 2 * 10**3 values of single resolution, rounded up to a power of two
_HALF = 1 << (_SUB_BITS - 1)
_COOKIE, _COMPRESSED_COOKIE = 0x1C849313, 0x1C849314


def counts_of(values_ns: np.ndarray) -> np.ndarray:
    """Counts the values (int64, 0 or more, shape [n]) in each bucket: int64, up to the last that holds any."""
    values = np.minimum(values_ns, HIGHEST_NS)
    # The exponent of frexp is the number of bits, exactly: the values are below 2**53.
    bits = np.frexp((values | (2 * _HALF - 1)).astype(np.float64))[1].astype(np.int64)
    bucket = bits - _SUB_BITS
    return np.bincount(((bucket + 1) << (_SUB_BITS - 1)) + (values >> bucket) - _HALF).astype(np.int64)


def encode(counts: np.ndarray) -> bytes:
    """Encodes bucket counts as the compressed histogram, before base64."""
    words = bytearray()
    zeros = 0
    for count in counts.tolist():
        if not count:
            zeros += 1
            continue
        if zeros:
            _zig_zag(words, -zeros)  # a negative number is a run of empty buckets
            zeros = 0
        _zig_zag(words, count)
    head = struct.pack(">iiiiqqd", _COOKIE, len(words), 0, DIGITS, 1, HIGHEST_NS, 1.0)
    packed = zlib.compress(head + bytes(words))
    return struct.pack(">ii", _COMPRESSED_COOKIE, len(packed)) + packed


def _zig_zag(words: bytearray, value: int) -> None:
    """Appends a 64-bit integer as LEB128, its sign in the lowest bit; the ninth byte, if any, has eight bits."""
    left = (value << 1) ^ (value >> 63)
    for _ in range(8):
        if left < 0x80:
            words.append(left)
            return
        words.append(left & 0x7F | 0x80)
        left >>= 7
    words.append(left & 0xFF)


def log_text(values_ns: np.ndarray, started_s: float, duration_s: float) -> str:
    """Returns the log of one histogram; ``started_s`` is seconds since 1970. Its largest value is in milliseconds."""
    payload = base64.b64encode(encode(counts_of(values_ns))).decode()
    largest_ms = float(values_ns.max(initial=0)) / 1e6
    return (
        "#[Histogram log format version 1.3]\n"
        f"#[StartTime: {started_s:.3f} (seconds since epoch)]\n"
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
        f"0.000,{duration_s:.3f},{largest_ms:.3f},{payload}\n"
    )

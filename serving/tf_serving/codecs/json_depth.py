"""Find how deep JSON is nested, and take deep values out, in time that is linear in its bytes.

Parsers recurse once per level, and Python has room for a thousand levels. Still, a request may hold deeper values
where nobody reads them, as tensorflow/serving allows. So they are cut out, level by level: a document of several
plies, each :data:`PLY` levels deep, becomes a list of shallow documents. The first one has a 0 for each value that
was cut out; the others only show that the rest is JSON.
"""

from __future__ import annotations

import numpy as np

from serving.tf_serving.base.errors import invalid

MAX_DEPTH = 1_000_000
"""Most levels of lists and objects in a body."""
PLY = 500
"""Levels that any parser reads."""
MAX_DEEP_BYTES = 16 * 2**20
"""Largest body with more levels than a ply."""

_STEP = 2**20  # bytes looked at together
_STEPS = bytes(1 if byte in b"[{" else 255 if byte in b"]}" else 0 for byte in range(256))


def depth(body: bytes) -> int:
    """Return the number of levels. Raises ServingError: INVALID_ARGUMENT, there are more than MAX_DEPTH."""
    most = level = 0
    steps = _steps(body)
    for start in range(0, len(steps), _STEP):
        levels = np.cumsum(steps[start : start + _STEP], dtype=np.int32)
        most, level = max(most, level + int(levels.max())), level + int(levels[-1])
        if most > MAX_DEPTH:
            raise invalid(f"JSON Parse error: The document is nested over {MAX_DEPTH} levels deep.")
    return most


def container_at(body: bytes) -> str:
    """Return the bracket of the list or object that is still open at the end of ``body``; empty if there is none."""
    steps, level = _steps(body), 0
    for end in range(len(steps), 0, -_STEP):
        levels = level + np.cumsum(steps[max(0, end - _STEP) : end][::-1], dtype=np.int32)
        found = np.flatnonzero(levels > 0)
        if len(found):
            return chr(body[end - 1 - int(found[0])])
        level = int(levels[-1])
    return ""


def plies(body: bytes) -> bytes | None:
    """Return the list of shallow documents; None if the document in ``body`` does not end.

    Raises:
        ServingError: INVALID_ARGUMENT, a body of over MAX_DEEP_BYTES.
    """
    if len(body) > MAX_DEEP_BYTES:
        raise invalid(f"JSON Parse error: A document of over {MAX_DEEP_BYTES} bytes is nested over {PLY} levels deep.")
    steps = _steps(body)
    levels = np.cumsum(steps, dtype=np.int32)
    ends = np.flatnonzero((levels == 0) & (steps < 0))
    if not len(ends):
        return None
    size = int(ends[0]) + 1  # what follows the document is ignored
    text, steps, levels = np.frombuffer(body[:size], np.uint8), steps[:size], levels[:size]
    inside = levels - (steps < 0) * steps - 1  # of a bracket: the levels around it
    ply = np.maximum(inside // PLY, 0).astype(np.int16)
    cuts = np.flatnonzero((steps > 0) & (inside > 0) & (inside % PLY == 0))  # where a ply begins
    where = np.repeat(cuts, 2)
    text = np.insert(text, where, np.tile(np.frombuffer(b",0", np.uint8), len(cuts)))
    deeper = np.repeat(ply[cuts], 2)
    deeper[1::2] -= 1
    ply = np.insert(ply, where, deeper)
    return b"[%s]" % text[np.argsort(ply, kind="stable")].tobytes()


def _steps(body: bytes) -> np.ndarray:
    """Return 1 for each bracket that opens, -1 for each that closes, and 0 for all other bytes."""
    if b'"' not in body:
        return np.frombuffer(body.translate(_STEPS), np.int8)
    if b"\\" in body:
        body = body.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
    steps = np.frombuffer(body.translate(_STEPS), np.int8)
    is_quote = np.frombuffer(body, np.uint8) == ord('"')
    return np.where(np.logical_xor.accumulate(is_quote), np.int8(0), steps)

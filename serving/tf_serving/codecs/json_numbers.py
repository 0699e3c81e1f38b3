"""Read the one big list of numbers in a request's body directly into an array.

An image as JSON has 150,000 numbers. Reading them as Python lists and floats takes 90 ms or more of CPU time;
simdjson reads them into a buffer in 2.7 ms, and the check that the lists are regular takes 1.5 ms. Only lists
that pass this check are read here. All others are read again by ``json_text.py``, which defines the answers
and messages. Both give the same arrays, to the bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import simdjson

from serving.tf_serving.base.dtypes import TensorInfo
from serving.wire.tensor_proto import MAX_RANK

SMALLEST = 1024
"""Size of a body in bytes below which orjson and NumPy are as fast."""

LARGEST_AROUND = 1024
"""Largest number of bytes outside the list; an object with more is not mainly a list of numbers."""

_PLACEHOLDER = "\x01numbers\x01"
_PLACEHOLDER_TEXT = b'"\\u0001numbers\\u0001"'
_NO_TOKENS = b"0123456789+-.eE \t\r\n"  # all characters of a list of numbers except brackets and commas
_KINDS = {
    **dict.fromkeys(["float", "double"], "d"),
    **dict.fromkeys(["int8", "int16", "int32", "int64", "uint8", "uint32"], "i"),
    "uint64": "u",
}
# Idle parsers, kept because each keeps its buffers. Each running request takes one. list.pop and list.append
# are atomic.
_idle: list[simdjson.Parser] = []


class Numbers:
    """The list at ``body[start:end]``.

    Raises:
        ValueError, RuntimeError, TypeError: simdjson refuses it, or it is not a list.
    """

    __slots__ = ("_body", "_list", "_parser", "_span")

    def __init__(self, body: bytes, start: int, end: int) -> None:
        self._body, self._span = body, (start, end)
        self._list: Any = None
        self._parser = _parser()
        self._list = self._parser.parse(memoryview(body)[start:end])
        if not isinstance(self._list, simdjson.Array):
            raise TypeError("not a list")

    def __del__(self) -> None:
        self._list = None  # a parser cannot be used again while its list exists
        _idle.append(self._parser)

    def array(self, info: TensorInfo) -> np.ndarray | None:
        """Return the list as an array of the input's dtype; None unless it is regular, not empty and of that dtype."""
        kind = _KINDS.get(info.dtype)
        if kind is None:
            return None
        try:
            values = np.frombuffer(self._list.as_buffer(of_type=kind), {"d": "f8", "i": "i8", "u": "u8"}[kind])
        except (TypeError, ValueError):
            return None  # a value is not a number, or not of this kind or size
        # From here on, there are only numbers between the brackets and commas.
        shape = _regular_shape(self._tokens())
        # An empty list has the same brackets as a list of one number: the number of values shows the difference.
        if shape is None or math.prod(shape) != values.size:
            return None
        if kind != "d":
            limits = np.iinfo(info.numpy)
            if values.min() < limits.min or values.max() > limits.max:
                return None
        with np.errstate(over="ignore"):  # the API turns what a double holds and a float does not into infinity
            return values.astype(info.numpy, copy=False).reshape(shape)

    def _tokens(self) -> bytes:
        # Translate the whole body at once: a slice would copy megabytes.
        start, end = self._span
        around = (len(part.translate(None, _NO_TOKENS)) for part in (self._body[:start], self._body[end:]))
        before, after = around
        tokens = self._body.translate(None, _NO_TOKENS)
        return tokens[before : len(tokens) - after]


def split(body: bytes) -> tuple[bytes, Numbers] | None:
    """Replace the text from a body's first ``[`` to its last ``]`` by a placeholder; return the body and the list.

    Returns None if the body is small or of another form; then all of it must be parsed.
    """
    if len(body) < SMALLEST:
        return None
    start, end = body.find(b"["), body.rfind(b"]") + 1
    if not 0 <= start < end or len(body) - (end - start) > LARGEST_AROUND:
        return None
    before, after = body[:start], body[end:]
    if b"numbers" in before or b"numbers" in after or before.count(b'"') % 2:
        return None  # it may look like the placeholder, or the bracket is in a string
    try:
        numbers = Numbers(body, start, end)
    except (ValueError, TypeError, RuntimeError):
        return None  # not JSON, or not supported by simdjson: NaN, more than 64 bits, 1,024 levels
    return before + _PLACEHOLDER_TEXT + after, numbers


def _parser() -> simdjson.Parser:
    try:
        return _idle.pop()
    except IndexError:
        return simdjson.Parser()


def is_placeholder(value: Any) -> bool:
    """Return True if a value of the parsed document is the placeholder for the numbers."""
    return isinstance(value, str) and value == _PLACEHOLDER


def _regular_shape(tokens: bytes) -> tuple[int, ...] | None:
    """Find the shape of nested lists of numbers from their brackets and commas; None unless they are regular.

    The first list of each depth must equal its own first inner list, repeated. The text must be valid JSON.
    """
    rank = len(tokens) - len(tokens.lstrip(b"["))
    if rank > MAX_RANK:
        return None
    shape: list[int] = []
    block = b""
    for depth in range(1, rank + 1):  # from the innermost lists outwards
        end = tokens.find(b"]" * depth) + depth if depth < rank else len(tokens)
        inner, block = block, tokens[rank - depth : end]
        size, rest = divmod(len(block) - 1, len(inner) + 1)
        if rest or block != b"[" + b",".join([inner] * size) + b"]":
            return None
        shape.insert(0, size)
    return tuple(shape)

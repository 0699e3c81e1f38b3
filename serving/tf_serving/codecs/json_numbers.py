"""The one big list of numbers in a request's body, read straight into an array.

A picture as JSON is 150,000 numbers. As Python lists and floats they cost 90 ms and more of CPU; simdjson
reads them into a buffer in 2.7 ms, and telling that the lists are regular takes 1.5 ms. Only what is
proved regular takes this way: everything else is read again by ``json_text.py``, whose answers
and messages are the rule. Both give the same arrays, to the bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import simdjson

from serving.tf_serving.base.dtypes import TensorInfo
from serving.wire.tensor_proto import MAX_RANK

SMALLEST = 1024
"""Bytes of a body below which orjson and NumPy are as fast."""

LARGEST_AROUND = 1024
"""Bytes around the list: an object with more is not a list of numbers and little else."""

_PLACEHOLDER = "\x01numbers\x01"
_PLACEHOLDER_TEXT = b'"\\u0001numbers\\u0001"'
_NO_TOKENS = b"0123456789+-.eE \t\r\n"  # what is between brackets and commas in a list of numbers
_KINDS = {
    **dict.fromkeys(["float", "double"], "d"),
    **dict.fromkeys(["int8", "int16", "int32", "int64", "uint8", "uint32"], "i"),
    "uint64": "u",
}
# A parser keeps its buffers, and so does its memory; one is taken for each request under way. list.pop and
# list.append are atomic.
_idle: list[simdjson.Parser] = []


class Numbers:
    """The list at ``body[start:end]``.

    Raises:
        ValueError, RuntimeError, TypeError: simdjson refuses it, or it is no list.
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
        self._list = None  # a parser cannot be used again before
        _idle.append(self._parser)

    def array(self, info: TensorInfo) -> np.ndarray | None:
        """The list as an array of the input's dtype; None unless it is regular, not empty, and all of the dtype."""
        kind = _KINDS.get(info.dtype)
        if kind is None:
            return None
        try:
            values = np.frombuffer(self._list.as_buffer(of_type=kind), {"d": "f8", "i": "i8", "u": "u8"}[kind])
        except (TypeError, ValueError):
            return None  # a value that is no number, or none of that kind or size
        # Now only numbers are between the brackets and commas.
        shape = _regular_shape(self._tokens())
        # An empty list has the brackets of one number: their count tells.
        if shape is None or math.prod(shape) != values.size:
            return None
        if kind != "d":
            limits = np.iinfo(info.numpy)
            if values.min() < limits.min or values.max() > limits.max:
                return None
        with np.errstate(over="ignore"):  # too large is infinity, by the rules
            return values.astype(info.numpy, copy=False).reshape(shape)

    def _tokens(self) -> bytes:
        # The whole body at once: a slice of it would be another copy of megabytes.
        start, end = self._span
        around = (len(part.translate(None, _NO_TOKENS)) for part in (self._body[:start], self._body[end:]))
        before, after = around
        tokens = self._body.translate(None, _NO_TOKENS)
        return tokens[before : len(tokens) - after]


def split(body: bytes) -> tuple[bytes, Numbers] | None:
    """A body with a placeholder for what is between its first ``[`` and its last ``]``, and that list.

    None if the body is small, or not of this form: the whole of it is to be parsed.
    """
    if len(body) < SMALLEST:
        return None
    start, end = body.find(b"["), body.rfind(b"]") + 1
    if not 0 <= start < end or len(body) - (end - start) > LARGEST_AROUND:
        return None
    before, after = body[:start], body[end:]
    if b"numbers" in before or b"numbers" in after or before.count(b'"') % 2:
        return None  # it could be taken for the placeholder, or the bracket is in a string
    try:
        numbers = Numbers(body, start, end)
    except (ValueError, TypeError, RuntimeError):
        return None  # not JSON, or not to simdjson: NaN, more than 64 bits, 1,024 levels
    return before + _PLACEHOLDER_TEXT + after, numbers


def _parser() -> simdjson.Parser:
    try:
        return _idle.pop()
    except IndexError:
        return simdjson.Parser()


def is_placeholder(value: Any) -> bool:
    """Whether a value of the parsed document stands for the numbers."""
    return isinstance(value, str) and value == _PLACEHOLDER


def _regular_shape(tokens: bytes) -> tuple[int, ...] | None:
    """The shape of nested lists of numbers, from their brackets and commas; None unless they are regular.

    The first list of each depth is compared with the first one of the depth below it, repeated. The text
    is known to be JSON.
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

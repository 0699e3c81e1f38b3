"""Parse JSON like TensorFlow Serving: NaN and Infinity are numbers, values may be deep, trailing text is ignored.

``orjson`` reads nearly every body. A body that it refuses goes to the standard library, deep ones in plies
(``json_depth.py``). Time is linear in the size of the body, whatever is in it.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from serving.tf_serving.base.deadlines import check, hold, leaving
from serving.tf_serving.base.errors import ServingError, invalid
from serving.tf_serving.codecs import json_depth

BRIEF_CHARACTERS = 256

VALUE_BYTES = 64
"""Memory that a parsed value takes, about."""

_SPACE = re.compile(r"[ \t\n\r]*")
_MAY_BE_A_WORD = re.compile(r"-NaN|Inf(?!inity)")
_WORDS = re.compile(r'"(?:[^"\\]|\\.)*+"|-NaN|Inf(?:inity)?+', re.DOTALL)
_OTHER_WORDS = {"Inf": "Infinity", "-NaN": "NaN"}  # RapidJSON accepts these, too
_NO_COMMA = "Expecting ',' delimiter"
_PROBLEMS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
    "Invalid control character at": "Invalid encoding in string.",
}
_KEYS = {key: f'"{key}"'.encode() for key in ("signature_name", "instances", "inputs", "examples", "context")}
_TYPES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


def parse(body: bytes) -> Any:
    """Parse the first JSON document of ``body`` into dicts, lists, str, int, float, bool and None.

    An integer that does not fit in 64 bits is read as a float. If a request repeats a key, its first value
    counts, as in RapidJSON. Bytes of a string that are not UTF-8 become lone surrogates ("surrogateescape"),
    so that :func:`encode_text` restores them. Of a document of over ``json_depth.PLY`` levels, the deep values
    may be 0.

    Raises:
        ServingError: INVALID_ARGUMENT with the offset of the first error; another code, if the answer is not wanted
            any more, or there is no room for the values.
    """
    hold(VALUE_BYTES * (body.count(b",") + body.count(b"[") + body.count(b"{")))
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    else:
        if not _may_have_twins(body, value):
            return value
    if not body.strip(b" \t\n\r"):
        raise invalid("JSON Parse error: The document is empty.")
    check()
    if json_depth.depth(body) <= json_depth.PLY:
        return _parse(body)
    shallow = json_depth.plies(body)
    if shallow is None:
        raise _not_ended(body)
    return _parse(shallow)[0]


def _parse(body: bytes) -> Any:
    """Parse a document that is not deep."""
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    if _MAY_BE_A_WORD.search(text):
        text = _WORDS.sub(lambda found: _OTHER_WORDS.get(found.group(), found.group()), text)
    try:
        return _decoder().raw_decode(text, _skip(text, 0))[0]
    except json.JSONDecodeError as error:
        position = len(text[: error.pos].encode("utf-8", "surrogateescape"))
        problem = _PROBLEMS.get(error.msg, "Invalid escape character in string.")
        if error.msg == _NO_COMMA:
            problem = _missing_comma(body[:position])
        raise _error(problem, position) from error
    except _TooBigError as error:
        raise _error("Number too big to be stored in double.", max(0, body.find(str(error).encode()))) from error


def _not_ended(body: bytes) -> ServingError:
    """Make the error for a document that ends before its last bracket is closed."""
    last = body.rstrip(b" \t\n\r")[-1:]
    if last == b"{":
        return _error("Missing a name for object member.", len(body))
    if last in (b"[", b",", b":"):
        return _error("Invalid value.", len(body))
    return _error(_missing_comma(body), len(body))


def _missing_comma(before: bytes) -> str:
    if json_depth.container_at(before) == "{":
        return "Missing a comma or } after an object member."
    return "Missing a comma or ] after an array element."


def encode_text(text: str) -> bytes:
    """Return the original bytes of a JSON string.

    Raises:
        ServingError: INVALID_ARGUMENT, the string contains an escaped half of a surrogate pair.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from error


def brief(value: Any) -> str:
    """Write ``value`` as JSON for a message, cut after :data:`BRIEF_CHARACTERS`."""
    parts: list[str] = []
    length = 0
    pending: list[tuple[bool, Any]] = [(False, value)]  # pairs (is text, text or value); the last one is next
    while pending and length < BRIEF_CHARACTERS:
        is_text, item = pending.pop()
        if is_text:
            part = item
        elif isinstance(item, dict):
            members = [
                pair
                for key, member in list(item.items())[:BRIEF_CHARACTERS]
                for pair in ((True, ","), (True, _scalar_text(key) + ":"), (False, member))
            ]
            pending += [(True, "}"), *reversed(members[1:])]
            part = "{"
        elif isinstance(item, list):
            elements = [pair for element in item[:BRIEF_CHARACTERS] for pair in ((True, ","), (False, element))]
            pending += [(True, "]"), *reversed(elements[1:])]
            part = "["
        else:
            part = _scalar_text(item)
        parts.append(part)
        length += len(part)
    return "".join(parts)[:BRIEF_CHARACTERS]


def type_name(value: Any) -> str:
    """Return the name of a value's JSON type, for messages."""
    if isinstance(value, bool):
        return "True" if value else "False"
    return _TYPES[type(value)]


def _scalar_text(value: Any) -> str:
    if isinstance(value, str):
        value = value[:BRIEF_CHARACTERS]
    return json.dumps(value, ensure_ascii=False)


def _may_have_twins(body: bytes, value: Any) -> bool:
    """Return True if a key of a request may be repeated: orjson keeps its last value, but the first counts."""
    return isinstance(value, dict) and any(key in value and body.count(text) > 1 for key, text in _KEYS.items())


def _decoder() -> json.JSONDecoder:
    """Make a decoder that stops when the client of the thread's request has left."""
    is_gone = leaving()

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if is_gone():
            check()
        found = dict(pairs)
        if len(found) < len(pairs):
            found.clear()
            for key, value in pairs:
                found.setdefault(key, value)
        return found

    def integer(text: str) -> int | float:
        if len(text) <= 20:
            value = int(text)
            if -(2**63) <= value < 2**64:
                return value
        return decimal(text)

    def decimal(text: str) -> float:
        if is_gone():
            check()
        value = float(text)
        if math.isinf(value):
            raise _TooBigError(text)
        return value

    return json.JSONDecoder(parse_int=integer, parse_float=decimal, object_pairs_hook=members)


class _TooBigError(Exception):
    """A number is larger than any double; the text is the number."""


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _error(problem: str, position: int) -> ServingError:
    return invalid(f"JSON Parse error: {problem} at offset: {position}")

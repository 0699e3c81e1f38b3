"""Parse JSON like TensorFlow Serving: NaN and Infinity are numbers, depth is unlimited, trailing text is ignored.

``orjson`` reads nearly every body. A body that it refuses goes to the standard library. If that refuses it too
(because of deep nesting, or an error to report), the parser in this module reads it, with its own stack.
"""

from __future__ import annotations

import json
import math
import re
from json.decoder import scanstring  # type: ignore[attr-defined]  # JSONDecoder's own function for strings
from typing import Any

import orjson

from serving.tf_serving.base.errors import ServingError, invalid

BRIEF_CHARACTERS = 256

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_WORDS |= {"-NaN": math.nan, "Inf": math.inf, "-Inf": -math.inf}  # RapidJSON accepts these, too
_WORD = re.compile("|".join(_WORDS))
_KEYS = {key: f'"{key}"'.encode() for key in ("signature_name", "instances", "inputs", "examples", "context")}
_TYPES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


def parse(body: bytes) -> Any:
    """Parse the first JSON document of ``body`` into dicts, lists, str, int, float, bool and None.

    An integer that does not fit in 64 bits is read as a float. If a request repeats a key, its first value
    counts, as in RapidJSON. Bytes of a string that are not UTF-8 become lone surrogates ("surrogateescape"),
    so that :func:`encode_text` restores them.

    Raises:
        ServingError: INVALID_ARGUMENT with the offset of the first error.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    else:
        if not _may_have_twins(body, value):
            return value
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    try:
        return _DECODER.raw_decode(text, _skip(text, 0))[0]
    except (RecursionError, ValueError):
        return parse_deep(text)


def parse_deep(text: str) -> Any:
    """Parse like :func:`parse`, without recursion and in Python only."""
    position = _skip(text, 0)
    if position == len(text):
        raise invalid("JSON Parse error: The document is empty.")
    containers: list[Any] = []  # the open lists and objects, the innermost last
    keys: list[str] = []  # for each open object, the key whose value comes next
    while True:
        position = _skip(text, position)
        char = text[position : position + 1]
        value: Any
        if char in ("[", "{") and char:
            inside = _skip(text, position + 1)
            if text[inside : inside + 1] != {"[": "]", "{": "}"}[char]:
                containers.append([] if char == "[" else {})
                position = position + 1 if char == "[" else _key(text, inside, keys)
                continue
            value, position = [] if char == "[" else {}, inside + 1
        else:
            value, position = _scalar(text, position)
        while containers:
            position = _skip(text, position)
            char = text[position : position + 1]
            top = containers[-1]
            if isinstance(top, list):
                top.append(value)
                closing, expected = "]", "Missing a comma or ] after an array element."
            else:
                top.setdefault(keys.pop(), value)
                closing, expected = "}", "Missing a comma or } after an object member."
            if char == closing:
                value, position = containers.pop(), position + 1
            elif char == ",":
                position = position + 1 if closing == "]" else _key(text, _skip(text, position + 1), keys)
                break
            else:
                raise _error(expected, position)
        else:
            return value


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


def _integer(text: str) -> int | float:
    if len(text) <= 20:
        value = int(text)
        if -(2**63) <= value < 2**64:
            return value
    return float(text)


def _may_have_twins(body: bytes, value: Any) -> bool:
    """Return True if a key of a request may be repeated: orjson keeps its last value, but the first counts."""
    return isinstance(value, dict) and any(key in value and body.count(text) > 1 for key, text in _KEYS.items())


def _first_of_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        members.clear()
        for key, value in pairs:
            members.setdefault(key, value)
    return members


_DECODER = json.JSONDecoder(parse_int=_integer, object_pairs_hook=_first_of_twins)


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _key(text: str, position: int, keys: list[str]) -> int:
    if text[position : position + 1] != '"':
        raise _error("Missing a name for object member.", position)
    key, position = _string(text, position)
    position = _skip(text, position)
    if text[position : position + 1] != ":":
        raise _error("Missing a colon after a name of object member.", position)
    keys.append(key)
    return position + 1


def _string(text: str, position: int) -> tuple[str, int]:
    try:
        return scanstring(text, position + 1, True)
    except json.JSONDecodeError as error:
        problems = {
            "Unterminated string starting at": "Missing a closing quotation mark in string.",
            "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
            "Invalid control character at": "Invalid encoding in string.",
        }
        raise _error(problems.get(error.msg, "Invalid escape character in string."), error.pos) from error


def _scalar(text: str, position: int) -> tuple[Any, int]:
    if text[position : position + 1] == '"':
        return _string(text, position)
    if match := _WORD.match(text, position):
        return _WORDS[match.group()], match.end()
    if match := _NUMBER.match(text, position):
        number = match.group()
        return (_integer(number) if number.lstrip("-").isdigit() else float(number)), match.end()
    raise _error("Invalid value.", position)


def _error(problem: str, position: int) -> ServingError:
    return invalid(f"JSON Parse error: {problem} at offset: {position}")

"""JSON as TensorFlow Serving reads it: NaN and Infinity are numbers, depth has no limit, and what follows
the document is ignored.

``orjson`` reads nearly every body. What it refuses goes to the standard library, and what that refuses too
(deep nesting, or an error to be named) to a parser here, which keeps its own stack.
"""

from __future__ import annotations

import json
import math
import re
from json.decoder import scanstring  # type: ignore[attr-defined]  # what JSONDecoder itself reads strings with
from typing import Any

import orjson

from serving.tf_serving.base.errors import ServingError, invalid

BRIEF_CHARACTERS = 256

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None, "NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_WORDS |= {"-NaN": math.nan, "Inf": math.inf, "-Inf": -math.inf}  # RapidJSON takes these, too
_WORD = re.compile("|".join(_WORDS))
_KEYS = {key: f'"{key}"'.encode() for key in ("signature_name", "instances", "inputs", "examples", "context")}
_TYPES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


def parse(body: bytes) -> Any:
    """The first JSON document of ``body``, as dicts, lists, str, int, float, bool and None.

    An integer that does not fit in 64 bits is read as a float. Of the keys of a request, the first of two alike
    counts, as RapidJSON finds it. Bytes of a string that are not UTF-8
    become lone surrogates ("surrogateescape"), so that :func:`encode_text` gives them back.

    Raises:
        ServingError: INVALID_ARGUMENT with the offset of what is not JSON.
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
    """As :func:`parse`, without recursion and without help from C."""
    position = _skip(text, 0)
    if position == len(text):
        raise invalid("JSON Parse error: The document is empty.")
    containers: list[Any] = []  # those that are open, the innermost last
    keys: list[str] = []  # of each open object, the key whose value comes next
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
    """The bytes that a JSON string stood for.

    Raises:
        ServingError: INVALID_ARGUMENT, half of a surrogate pair was escaped in it.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from error


def brief(value: Any) -> str:
    """``value`` as JSON for a message, cut after :data:`BRIEF_CHARACTERS`."""
    parts: list[str] = []
    length = 0
    pending: list[tuple[bool, Any]] = [(False, value)]  # (is text, text or value), the next one last
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
    """The JSON type of a value, as messages name it."""
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
    """Whether a key of a request, of which orjson keeps the last, may be there twice."""
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

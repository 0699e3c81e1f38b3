"""Bytes in JSON: ``{"b64": "..."}``, read as tensorflow/serving reads it (absl::Base64Unescape).

White space counts for nothing, wherever it is; padding may be left out, but not be wrong; ``.`` pads as ``=`` does;
bits left over after the last byte are ignored. Both alphabets of RFC 4648 are taken.
"""

from __future__ import annotations

import binascii
import re
from typing import Any

from serving.tf_serving.base.errors import invalid
from serving.tf_serving.codecs.json_text import brief

_SPACE = re.compile(r"[ \t\n\v\f\r]+")
_DIGITS_AND_PADDING = re.compile(r"([A-Za-z0-9+/_-]*+)([=.]*)")
_HALF_A_BYTE = 3  # characters missing of four: the one that is there has six bits
_WEB_SAFE = str.maketrans("-_", "+/")


def is_base64(value: Any) -> bool:
    """Whether a JSON value is of that form: an object with the one key, and a string."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def decode_base64(value: dict[str, Any]) -> bytes:
    """The bytes that an object stands for.

    Raises:
        ServingError: INVALID_ARGUMENT, it is not of that form, or its text is not base64.
    """
    if not is_base64(value):
        raise invalid(f"JSON Value: {brief(value)} not formatted correctly for base64 data")
    text = value["b64"]
    try:
        return binascii.a2b_base64(text, strict_mode=True)  # what nearly everybody sends, in one call
    except ValueError:
        found = _DIGITS_AND_PADDING.fullmatch(_SPACE.sub("", text))
    if found is None:
        raise invalid("Unable to base64 decode")
    digits, padding = found.groups()
    missing = -len(digits) % 4
    if missing == _HALF_A_BYTE or len(padding) not in (0, missing):
        raise invalid("Unable to base64 decode")
    return binascii.a2b_base64(digits.translate(_WEB_SAFE) + "=" * missing)

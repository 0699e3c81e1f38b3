"""Decode bytes in JSON, ``{"b64": "..."}``, in the same way as tensorflow/serving (absl::Base64Unescape).

White space is ignored everywhere. Padding may be missing, but not wrong; ``.`` is padding like ``=``. Bits left
over after the last byte are ignored. Both alphabets of RFC 4648 are accepted.
"""

from __future__ import annotations

import binascii
import re
from typing import Any

from serving.tf_serving.base.errors import invalid
from serving.tf_serving.codecs.json_text import brief

_SPACE = re.compile(r"[ \t\n\v\f\r]+")
_DIGITS_AND_PADDING = re.compile(r"([A-Za-z0-9+/_-]*+)([=.]*)")
_HALF_A_BYTE = 3  # missing characters in a group of four: the only one present has six bits
_WEB_SAFE = str.maketrans("-_", "+/")


def is_base64(value: Any) -> bool:
    """Return True for an object with the single key "b64" and a string as its value."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def decode_base64(value: dict[str, Any]) -> bytes:
    """Decode the bytes of such an object.

    Raises:
        ServingError: INVALID_ARGUMENT, the value has another form, or its text is not base64.
    """
    if not is_base64(value):
        raise invalid(f"JSON Value: {brief(value)} not formatted correctly for base64 data")
    text = value["b64"]
    try:
        return binascii.a2b_base64(text, strict_mode=True)  # one call is enough for nearly all requests
    except ValueError:
        found = _DIGITS_AND_PADDING.fullmatch(_SPACE.sub("", text))
    if found is None:
        raise invalid("Unable to base64 decode")
    digits, padding = found.groups()
    missing = -len(digits) % 4
    if missing == _HALF_A_BYTE or len(padding) not in (0, missing):
        raise invalid("Unable to base64 decode")
    return binascii.a2b_base64(digits.translate(_WEB_SAFE) + "=" * missing)

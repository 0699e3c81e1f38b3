"""Finds the objects that a pickle would call, without unpickling it."""

from __future__ import annotations

import pickletools
import re

from models.files import RefusedFile

MOST_BYTES = 16 * 2**20
MOST_OPCODES = 1_000_000
ALLOWED = re.compile(
    r"collections OrderedDict"
    r"|torch (Size|device|\w+Storage|Tensor|(b?float|complex|u?int|bool)\d*)"
    r"|torch\.storage (Untyped|Typed)Storage"
    r"|torch\._utils _rebuild_(tensor_v[23]|parameter)"
    r"|torch\._tensor _rebuild_from_type_v2"
    r"|torch\.nn\.parameter Parameter"
    r"|torch\.serialization _get_layout"
    r"|_codecs encode"
)
"""The objects that make tensors, among those that PyTorch's loader allows with ``weights_only``."""
OPCODES = re.compile(
    "PROTO|STOP|GLOBAL|REDUCE|BUILD|MARK|TUPLE[123]?|EMPTY_(TUPLE|LIST|DICT|SET)|APPENDS?|SETITEMS?|NONE|NEWTRUE|NEWFALSE"
    "|BINPERSID|BININT[12]?|LONG1|BINFLOAT|BINUNICODE|SHORT_BINSTRING|(LONG_)?BIN(GET|PUT)"
)
"""The operations that PyTorch's loader knows with ``weights_only``: at any other it runs the whole pickle."""


def suspicious(raw: bytes, what: str) -> str | None:
    """Say what a pickle has besides tensors and plain values; None for nothing. Raises RefusedFile if it is damaged."""
    if len(raw) > MOST_BYTES:
        return f"{what} has {len(raw):,} bytes"
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(raw)):
            if not OPCODES.fullmatch(opcode.name) or count > MOST_OPCODES:
                return f"{what} is a pickle with the instruction {opcode.name}"
            if opcode.name == "GLOBAL" and not ALLOWED.fullmatch(str(argument)):
                return f"{what} is a pickle that calls {str(argument).replace(' ', '.')[:80]}"
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise RefusedFile(f"{what} is no pickle: {str(error)[:80]}. The file is damaged") from None
    return None

"""Reads JSON out of a file that may be hostile."""

from __future__ import annotations

import json
from typing import Any

from models.files import RefusedFile

MOST_BYTES = 64 * 2**20
"""The graph of a network with ten thousand layers is a few MiB."""


def parsed(raw: bytes, what: str) -> Any:
    """Parse JSON of bounded size and depth; ``what`` names it. Raises RefusedFile."""
    if len(raw) > MOST_BYTES:
        raise RefusedFile(f"{what} may have {MOST_BYTES:,} bytes. Received: {len(raw):,}")
    try:
        return json.loads(raw)
    except RecursionError:
        raise RefusedFile(f"{what} is nested too deeply to be a model's") from None
    except ValueError as error:
        raise RefusedFile(f"{what} is no JSON: {error}. The file is damaged") from None


def mapping(value: Any, what: str) -> dict[str, Any]:
    """Return a value that has to be a JSON object. Raises RefusedFile."""
    if not isinstance(value, dict):
        raise RefusedFile(f"{what} is no JSON object. The file is damaged")
    return value

"""Write ``report.json``, the report as plain data, and read it back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import SlipwayError, UserError
from pipelines.base.files import MIB, read_bounded, write_bytes
from pipelines.results import SCHEMA_VERSION, Report

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAX_BYTES = 256 * MIB


def write(report: Report, path: Path) -> None:
    """Write the report as indented UTF-8 JSON, never in part.

    Raises SlipwayError, naming the field, for a value that JSON cannot hold (NaN, infinity).
    """
    write_bytes(path, dumps(report))


def dumps(report: Report) -> bytes:
    """Encode the report as the bytes of ``report.json``. Raises SlipwayError as :func:`write` does."""
    data = asdict(report)
    bad = next(_not_finite(data, "report"), None)
    if bad:
        raise SlipwayError(f"the report holds a number that JSON cannot hold. Received: {bad}. Use null instead.")
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # A lone surrogate (an undecodable byte in a folder's name) must not prevent the report.
    return text.encode("utf-8", "replace")


def read(path: Path) -> Report:
    """Read a report.

    Raises a one-line UserError if the file is missing, damaged, not a report of slipway, or has another schema
    version.
    """
    from pydantic import ValidationError

    content = read_bounded(path, MAX_BYTES, "the report")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"the report is not valid JSON. Received: {path} ({error}). Name a complete report.json."
        ) from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if type(version) is not int or "artifacts" not in data or "rows" not in data:
        raise UserError(f"not a report of slipway. Received: {path}. Name a report.json that `slipway` wrote.")
    if version != SCHEMA_VERSION:
        age = "a newer" if version > SCHEMA_VERSION else "an older"
        raise UserError(
            f"the report was written by {age} slipway. Received: {path} with schema version {version}, "
            f"this one reads version {SCHEMA_VERSION}. Use the slipway that wrote it."
        )
    bad = next(_not_finite(data, "report"), None)
    if bad:
        raise UserError(f"the report holds NaN or infinity. Received: {path} with {bad}. Run `slipway` again.")
    try:
        return adapter().validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"the report does not fit its schema. Received: {path} with {where}: {first['msg']}. Run `slipway` again."
        ) from error


@cache
def adapter() -> TypeAdapter[Report]:
    """Make pydantic's reader of the report."""
    from pydantic import TypeAdapter

    return TypeAdapter(Report)


def _not_finite(data: Any, where: str) -> Iterator[str]:
    """Yield ``field = value`` for every number in ``data`` that is NaN or infinite."""
    if isinstance(data, float) and not math.isfinite(data):
        yield f"{where} = {data}"
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from _not_finite(value, f"{where}.{name}")
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from _not_finite(value, f"{where}.{index}")

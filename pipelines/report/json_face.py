"""``report.json``: the report as plain data, written and read back."""

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
    """Write the report as indented UTF-8 JSON, whole or not at all.

    Raises SlipwayError, naming the field, for a value that JSON cannot carry (NaN, infinity).
    """
    write_bytes(path, dumps(report))


def dumps(report: Report) -> bytes:
    """The bytes of ``report.json``; raises SlipwayError as :func:`write` does."""
    data = asdict(report)
    bad = next(_not_finite(data, "report"), None)
    if bad:
        raise SlipwayError(f"the report holds a number that JSON cannot carry. Received: {bad}. Use null for no value.")
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # A lone surrogate (an undecodable byte in the name of a folder) must not cost the run its report.
    return text.encode("utf-8", "replace")


def read(path: Path) -> Report:
    """Read a report back.

    Raises UserError, in one line, for a file that is missing, broken, no report of slipway's, or
    written by another version of the schema.
    """
    from pydantic import ValidationError

    content = read_bounded(path, MAX_BYTES, "the report")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"the report is not valid JSON. Received: {path} ({error}). Name a whole report.json."
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
        raise UserError(f"the report holds a number that is none. Received: {path} with {bad}. Run it again.")
    try:
        return adapter().validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"the report does not fit its schema. Received: {path} with {where}: {first['msg']}. Run it again."
        ) from error


@cache
def adapter() -> TypeAdapter[Report]:
    """Pydantic's reader of the dataclasses."""
    from pydantic import TypeAdapter

    return TypeAdapter(Report)


def _not_finite(data: Any, where: str) -> Iterator[str]:
    """``field = value`` of every number in ``data`` that is NaN or infinite."""
    if isinstance(data, float) and not math.isfinite(data):
        yield f"{where} = {data}"
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from _not_finite(value, f"{where}.{name}")
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from _not_finite(value, f"{where}.{index}")

"""Reads what a user says of their model: ``spec.toml`` and a file of labels."""

from __future__ import annotations

import tomllib
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from pipelines.base.errors import UserError
from pipelines.base.files import MIB, read_bounded

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
Positive = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, slots=True, config=STRICT)
class InputWish:
    """The values of one input: from ``low`` to ``high``, one of ``values``, or a ``mask`` of ones and then zeros."""

    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] | tuple[str, ...] = ()
    mask: bool = False


@dataclass(frozen=True, slots=True, config=STRICT)
class PictureWish:
    """Says how a picture becomes the input: see :class:`models.spec.ImagePreprocessing`."""

    height: Positive
    width: Positive
    channels: Literal[1, 3] = 3
    offset: float = 0.0
    scale: Annotated[float, Field(gt=0)] = 1.0
    ground: Annotated[int, Field(ge=0, le=255)] = 0
    crop: Annotated[float, Field(gt=0, le=1)] | None = 1.0


@dataclass(frozen=True, slots=True, config=STRICT)
class FloorWish:
    """Sets the least that a precision must keep: see :class:`models.spec.Floor`."""

    min_sqnr_db: float
    min_agreement: Annotated[float, Field(ge=-1, le=1)] = 0.0


@dataclass(frozen=True, slots=True, config=STRICT)
class SpecWishes:
    """Everything that a user may say of a model; what is not said follows from the file."""

    title: str | None = None
    task: Literal["classes", "vectors", "plain"] | None = None
    labels: tuple[str, ...] = ()
    rate_per_s: Annotated[float, Field(gt=0)] = 20.0
    max_batch: Positive = 256
    inputs: dict[str, InputWish] = field(default_factory=dict)
    lengths: dict[str, tuple[Positive, Positive]] = field(default_factory=dict)
    picture: PictureWish | None = None
    floors: dict[Literal["fp16", "bf16", "int8-dynamic", "int8"], FloorWish] = field(default_factory=dict)


def read_wishes(spec: Path | None, labels: Path | None) -> SpecWishes:
    """Read ``spec.toml`` and a file with one label a line; both may be missing. Raises UserError."""
    said: dict[str, Any] = {}
    if spec is not None:
        try:
            said = tomllib.loads(read_bounded(spec, MIB, "the spec").decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{spec} is no TOML file: {error}") from error
    if labels is not None:
        if "labels" in said:
            raise UserError(f"labels are given twice. Received: {spec} and {labels}. Give them once")
        said["labels"] = _labels(labels)
    try:
        return TypeAdapter(SpecWishes).validate_python(said)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise UserError(
            f"{spec or labels}: {place}: {first['msg'].lower()}. Received: {str(first['input'])[:80]}"
        ) from error


def _labels(file: Path) -> list[str]:
    try:
        lines = read_bounded(file, MIB, "the labels").decode().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: expected one label a line, in UTF-8. Received: {error}") from error
    found = [line.strip() for line in lines]
    if not any(found) or not all(found):
        raise UserError(f"{file}: expected one label a line. Received: {len(found)} lines, some of them empty")
    return found

"""Reads what others measured (``elsewhere.toml``): it stands beside a reading and enters no verdict."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pipelines.claims.texts import Text

FILE = Path(__file__).parent / "elsewhere.toml"


@dataclass(frozen=True, slots=True)
class OthersFinding:
    """A finding of somebody else, and what it does to the claim; ``source`` has its date where that is known."""

    sign: Literal["supports", "contradicts", "depends"]
    text: Text
    source: str


@cache
def elsewhere() -> Mapping[str, tuple[OthersFinding, ...]]:
    """Read what others measured, by the claim's id."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {
        name: tuple(OthersFinding(one["sign"], Text(one["en"], one["zh"]), one["source"]) for one in rows)
        for name, rows in content.items()
    }

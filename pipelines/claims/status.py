"""Reads what has become of each technology that the article or a path names (``status.toml``), with source and date."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Literal

FILE = Path(__file__).parent / "status.toml"
KEEPS_DAYS = 365
"""A row that was looked up longer ago says so."""
USUAL = ("maintained", "renamed")
"""States that need no warning: what is there is looked after."""


@dataclass(frozen=True, slots=True)
class Technology:
    """One row: ``paths`` are those of slipway that rest on it, ``PATH`` or ``PATH:VARIANT``."""

    name: str
    status: Literal["maintained", "maintenance", "dormant", "beta", "renamed", "deprecated", "archived"]
    source: str
    looked_up: date
    since: str = ""
    successor: str = ""
    paths: tuple[str, ...] = ()

    def says(self, today: date | None = None) -> str:
        """Say the state in a few words, with its source; ``today`` is the day to judge the row's age by."""
        since = f" since {self.since}" if self.since else ""
        age = (today or datetime.now(UTC).date()) - self.looked_up
        old = f", as looked up on {self.looked_up}, more than a year ago" if age.days > KEEPS_DAYS else ""
        return f"{self.status}{since} ({self.source}{old})"


@cache
def technologies() -> Mapping[str, Technology]:
    """Read the rows, by their short name. Raises TypeError for a row with an unknown or a missing field."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: Technology(**{**row, "paths": tuple(row.get("paths", ()))}) for name, row in content.items()}


def unusual(path: str, variant: str | None = None) -> list[Technology]:
    """Return the rows of a path, or of one of its variants alone, that are not maintained as usual."""
    place = path if variant is None else f"{path}:{variant}"
    return [one for one in technologies().values() if place in one.paths and one.status not in USUAL]


def lifecycle_of(path: str, variant: str | None = None) -> str | None:
    """Say the state of a path, or of one of its variants alone; None for what is maintained as usual."""
    return "; ".join(one.says() for one in unusual(path, variant)) or None

"""Turn the facts of a claim, plain JSON of any shape, into what a page can show: lines, tables, or JSON as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.claims.texts import Text, page
from pipelines.report.numbers import DASH, plain

MOST_ROWS = 40
MOST_COLUMNS = 10
MOST_CHARS = 4_000
SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Facts:
    """One block of facts: a table with ``headers`` (none: pairs), or ``code``; ``left_out`` rows are not shown."""

    title: str = ""
    headers: tuple[str, ...] = ()
    rows: tuple[tuple[Text, ...], ...] = ()
    left_out: int = 0
    code: str = ""


def blocks(facts: Mapping[str, Any]) -> list[Facts]:
    """Return the blocks of facts: first those that are one line each, then a block for each other one."""
    short = {name: value for name, value in facts.items() if _is_cell(value)}
    found = [Facts(rows=_pairs(short))] if short else []
    return found + [_block(name, value) for name, value in facts.items() if name not in short]


def _block(title: str, value: Any) -> Facts:
    rows = value
    if isinstance(value, Mapping):
        if value and all(_is_cell(one) for one in value.values()):
            pairs = _pairs(value)
            return Facts(title, rows=pairs[:MOST_ROWS], left_out=max(0, len(pairs) - MOST_ROWS))
        if value and all(isinstance(one, Mapping) for one in value.values()):
            rows = [{"": name, **one} for name, one in value.items()]
    if isinstance(rows, Sequence) and rows and all(isinstance(row, Mapping) for row in rows):
        headers = tuple(dict.fromkeys(name for row in rows for name in row))
        if len(headers) <= MOST_COLUMNS and all(_is_cell(one) for row in rows for one in row.values()):
            cells = tuple(tuple(cell(row.get(name)) for name in headers) for row in rows[:MOST_ROWS])
            return Facts(title, headers, cells, max(0, len(rows) - MOST_ROWS))
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return Facts(title, code=text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}\n…")


def _pairs(facts: Mapping[str, Any]) -> tuple[tuple[Text, ...], ...]:
    return tuple((Text(plain(name), plain(name)), cell(value)) for name, value in facts.items())


def _is_cell(value: Any) -> bool:
    if isinstance(value, SCALARS):
        return True
    return isinstance(value, list | tuple) and all(isinstance(one, SCALARS) for one in value)


def cell(value: Any) -> Text:
    """Return a value as text: yes and no in each language, numbers with four figures, a list with commas."""
    if isinstance(value, bool):
        return page()["yes" if value else "no"]
    if isinstance(value, list | tuple):
        parts = [cell(one) for one in value]
        return Text(", ".join(one.en for one in parts) or DASH, ", ".join(one.zh for one in parts) or DASH)
    said = DASH if value is None else f"{value:.4g}" if isinstance(value, float) else plain(str(value))
    return Text(said, said)

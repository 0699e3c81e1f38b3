"""Chooses rows that stand for many: the best one of each path, or of each artifact."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from pipelines.report.lines import Line
from pipelines.report.recommend import recommend

MANY = 36
"""With more rows than these, plots show one row for each artifact, and tables begin with one for each path."""


def path_of(line: Line) -> Hashable:
    """Return the path of a line, as a key of :func:`best`."""
    return line.row.path


def artifact_of(line: Line) -> Hashable:
    """Return the path and variant of a line, as a key of :func:`best`."""
    return line.row.path, line.row.variant


def best(found: Sequence[Line], key: Callable[[Line], Hashable]) -> list[Line]:
    """List the row to ship of each group of lines with one key; of a group where none is fit, the first."""
    groups: dict[Hashable, list[Line]] = {}
    for line in found:
        groups.setdefault(key(line), []).append(line)
    return [_best(group) for group in groups.values()]


def leaders(found: Sequence[Line], winner: Line | None) -> list[Line]:
    """List the winner and the row to ship if it were not there; without a winner among them, the first two lines."""
    others = [line for line in found if line is not winner]
    if winner is None or len(others) == len(found):
        return list(found[:2])
    return [winner, *([_best(others)] if others else [])]


def _best(group: Sequence[Line]) -> Line:
    artifacts = [line.artifact for line in group if line.artifact]
    name = recommend(artifacts, [line.row for line in group]).row
    return next((line for line in group if line.name == name), group[0])

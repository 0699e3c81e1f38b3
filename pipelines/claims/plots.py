"""The plots of claims, as data: the page draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """One row of a dumbbell plot; ``hollow`` marks a control, such as another memory layout."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Dumbbells:
    """Values with intervals, one below the other; a line stands at ``line`` (1.0: equal), on a logarithmic axis."""

    points: tuple[Point, ...]
    axis: str
    line: float = 1.0
    kind: str = "dumbbells"


@dataclass(frozen=True, slots=True)
class Lines:
    """Curves: {name: ((x, y), ...)}; ``marks`` are named places on the x axis, for example a break-even or a kill."""

    series: Mapping[str, tuple[tuple[float, float], ...]]
    x: str
    y: str
    marks: Mapping[str, float]
    log_x: bool = False
    kind: str = "lines"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of words, coloured by them: ``ok``, ``refused``, ``silently wrong``, ``failed``, ``skipped``."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    kind: str = "grid"


@dataclass(frozen=True, slots=True)
class Bars:
    """One bar for each name, on a logarithmic axis if ``log``."""

    values: Mapping[str, float]
    axis: str
    log: bool = False
    kind: str = "bars"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Events over time: {track: ((second, text), ...)}, and ``spans``, {track: ((from, to, text), ...)}."""

    events: Mapping[str, tuple[tuple[float, str], ...]]
    spans: Mapping[str, tuple[tuple[float, float, str], ...]]
    kind: str = "timeline"


Plot = Dumbbells | Lines | Grid | Bars | Timeline

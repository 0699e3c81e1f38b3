"""Ranks the rows of a run by how much another round of each would tell. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pipelines.report.lines import Line, of_scenario, spread_of
from pipelines.report.recommend import contenders
from pipelines.results import ArtifactRow, Row

ENOUGH = 8
"""Rounds of a row after which another tells little: from here on, the interval of the median leaves out the extremes.

It spans all of seven values (``pipelines.loadtest.statistics.intervals.median_interval``).
"""
UNKNOWN = 1.0
"""Relative spread of a figure that was measured once: as wide as the figure itself."""


def most_uncertain(
    artifacts: Sequence[ArtifactRow], rows: Sequence[Row], turns: Mapping[tuple[str, str, str], int]
) -> list[Row]:
    """List the sound rows that deserve another round, the most deserving first; ``turns`` says how often each had one.

    First come the rows that decide the recommendation: the winner, and those within noise of it. Then all others. Among
    both, the widest spread of the figure that decides comes first, relative to the figure and divided by the square
    root of the row's turns, as the error of a median falls; equal ones keep the order of ``rows``. Disturbed rows are
    left out, since they have tries of their own, and so are rows with ENOUGH turns.
    """
    by_name = {(artifact.path, artifact.variant): artifact for artifact in artifacts}
    near, figure = contenders(artifacts, rows)
    deciding = {line.name for line in near}

    def worth(line: Line) -> tuple[bool, float]:
        return line.name not in deciding, -_spread(line, *figure) / math.sqrt(turns[_key(line.row)])

    sound = [line for row in rows if (line := Line(row, by_name.get((row.path, row.variant)))).measurement == "sound"]
    left = [line for line in sound if line.row.status == "ok" and turns[_key(line.row)] < ENOUGH]
    return [line.row for line in sorted(left, key=worth)]


def _key(row: Row) -> tuple[str, str, str]:
    return row.path, row.variant, row.way


def _spread(line: Line, scenario: str, figure: str) -> float:
    """Return the spread of a figure over the rounds, relative to the figure; UNKNOWN after one round."""
    value, spread = of_scenario(scenario, figure)(line), spread_of(figure, scenario)(line)
    return (spread.high - spread.low) / value if value and spread else UNKNOWN

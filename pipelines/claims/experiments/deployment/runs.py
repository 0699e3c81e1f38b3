"""Reads what runs left behind: which paths took which models, and what their rows cost. Pure functions of reports.

Words for what became of an artifact, those of a grid: ``ok``; ``silently wrong`` if it was packaged without an error,
and parity found other answers; ``failed``; ``skipped`` if a library or a form was missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import get_args

from pipelines.claims.plots import Grid
from pipelines.results import IN_PROCESS, ArtifactRow, Report, Row, Scenario, Where

ONE_CALL = "single-stream"
"""The scenario of one request after the other: its CPU time is that of one row."""


def named(reports: Mapping[str, Report]) -> tuple[str, ...]:
    """Name the runs that evidence was read from: model and start."""
    return tuple(f"{model}, {report.started}" for model, report in reports.items())


def word_of(report: Report, artifact: ArtifactRow) -> str:
    """Say what became of an artifact; to be ``ok``, it also gave right answers wherever it was measured."""
    if artifact.status == "skipped":
        return "skipped"
    if artifact.status != "ok":
        return "silently wrong" if artifact.certificate and not artifact.certificate.passed else "failed"
    rows = rows_of(report, artifact)
    ways = [[row for row in rows if row.where == where] for where in get_args(Where)]
    return "ok" if all(not way or any(map(answers, way)) for way in ways) else "failed"


def rows_of(report: Report, artifact: ArtifactRow) -> list[Row]:
    """Return the rows of an artifact."""
    return [row for row in report.rows if (row.path, row.variant) == (artifact.path, artifact.variant)]


def answers(row: Row) -> bool:
    """Return whether a row answered, and every checked answer was the in-process one; a served row is checked."""
    checked = [one for one in row.scenarios if one.answers_checked]
    right = all(one.match_share == 1 for one in checked)
    return row.status == "ok" and bool(row.scenarios) and right and (row.where == IN_PROCESS or bool(checked))


def name_of(artifact: ArtifactRow | Row) -> str:
    """Return ``PATH:VARIANT``."""
    return f"{artifact.path}:{artifact.variant}"


def taken(
    reports: Mapping[str, Report],
    wanted: Callable[[ArtifactRow], bool] = lambda one: True,  # noqa: ARG005
) -> dict[str, dict[str, str]]:
    """Return {model: {``PATH:VARIANT``: word}} of the artifacts wanted."""
    return {
        model: {name_of(one): word_of(report, one) for one in report.artifacts if wanted(one)}
        for model, report in reports.items()
    }


def grid(words: Mapping[str, Mapping[str, str]]) -> Grid:
    """Draw {column: {row: word}}; what a column does not have is skipped."""
    rows = tuple(dict.fromkeys(row for column in words.values() for row in column))
    cells = tuple(tuple(column.get(row, "skipped") for column in words.values()) for row in rows)
    return Grid(rows, tuple(words), cells)


def share(words: Sequence[str]) -> tuple[int, int]:
    """Count the artifacts that are ok, and those that were tried; what was skipped was not."""
    tried = [word for word in words if word != "skipped"]
    return tried.count("ok"), len(tried)


def scenario(row: Row, name: str = ONE_CALL) -> Scenario | None:
    """Return a load test of a row, None if it was not run."""
    return next((one for one in row.scenarios if one.name == name), None)


def of(figure: str, name: str = ONE_CALL) -> Callable[[Row], float | None]:
    """Read a figure of a row's load test, such as ``server.cpu_ms_per_request``; None if it was not measured."""

    def value(row: Row) -> float | None:
        found = scenario(row, name)
        return attrgetter(figure)(found) if found else None

    return value


cpu_ms = of("server.cpu_ms_per_request")
"""CPU time of one request after the other, milliseconds: what a disturbed machine changes least."""

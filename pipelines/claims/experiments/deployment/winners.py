"""Asks which rows of a run are best under a constraint, and which framework they are made from. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.claims.experiments.deployment import runs
from pipelines.claims.experiments.statistics import EFFECT
from pipelines.claims.status import lifecycle_of
from pipelines.paths import PATHS, path_module
from pipelines.results import IN_PROCESS, ArtifactRow, Report, Row

KNOWN = 0.9
"""The share of a framework's fit rows that must have a figure: the best of a few that the machine left undisturbed says
nothing about the rest."""

Figure = Callable[[Row, ArtifactRow], float | None]


@dataclass(frozen=True, slots=True)
class Question:
    """A figure to be best in, among served rows or among those in process; latencies count of sound rows only."""

    value: Figure
    where: str
    low_is_better: bool = True


def _load(figure: str, scenario: str, *, sound: bool = False) -> Figure:
    read = runs.of(figure, scenario)
    return lambda row, _: read(row) if row.measurement == "sound" or not sound else None


QUESTIONS: Mapping[str, Question] = {
    "least CPU time a request": Question(_load("server.cpu_ms_per_request", runs.ONE_CALL), "served"),
    "lowest p99 under load": Question(_load("latency.p99_ms", "server", sound=True), "served"),
    "highest throughput": Question(_load("load.samples_per_s", "offline", sound=True), "served", low_is_better=False),
    "least memory": Question(lambda row, _: row.peak_memory_bytes, "served"),
    "fastest cold start": Question(lambda row, _: row.cold_start_s, "served"),
    "least CPU time a call, in an application": Question(_load("server.cpu_ms_per_request", runs.ONE_CALL), IN_PROCESS),
    "least memory, in an application": Question(lambda row, _: row.peak_memory_bytes, IN_PROCESS),
    "smallest file, in an application": Question(lambda _, artifact: artifact.size_bytes, IN_PROCESS),
}


def _is_float32(artifact: ArtifactRow) -> bool:
    if artifact.path not in PATHS:
        return False
    variant = path_module(artifact.path).CARD.variants.get(artifact.variant)
    return variant is not None and variant.precision == "fp32"


def _is_maintained(artifact: ArtifactRow) -> bool:
    return lifecycle_of(artifact.path) is None and lifecycle_of(artifact.path, artifact.variant) is None


SETTINGS: Mapping[str, Callable[[ArtifactRow], bool]] = {
    "any": lambda _: True,
    "float32 only": _is_float32,
    "maintained only": _is_maintained,
}


def cells(model: str, report: Report) -> list[dict[str, Any]]:
    """Return, for each setting and question, the rows within EFFECT of the best, and the framework of all of them.

    The framework is ``tie`` if rows of both are among them. Rows must be fit: packaged, equal to the reference, right
    in every checked answer. A question is left out if one of the two frameworks has no fit row for it, or fewer than
    KNOWN of its rows have the figure.
    """
    fit = [
        (artifact, row)
        for artifact in report.artifacts
        if runs.word_of(report, artifact) == "ok"
        for row in runs.rows_of(report, artifact)
        if runs.answers(row) and not row.breaches
    ]
    found = []
    for setting, allows in SETTINGS.items():
        for text, question in QUESTIONS.items():
            asked = [(one, row) for one, row in fit if allows(one) and row.where == question.where]
            figures = [
                (value, artifact, row)
                for artifact, row in asked
                if (value := question.value(row, artifact)) is not None
            ]
            fit_rows = Counter(artifact.framework for artifact, _ in asked)
            known = Counter(artifact.framework for _, artifact, _ in figures)
            if len(known) == 2 and all(known[name] >= KNOWN * count for name, count in fit_rows.items()):
                found.append({"model": model, "setting": setting, "question": text, **_best(figures, question)})
    return found


def _best(figures: list[tuple[float, ArtifactRow, Row]], question: Question) -> dict[str, Any]:
    values = [value for value, _, _ in figures]
    if question.low_is_better:
        near = [one for one in figures if one[0] <= min(values) * (1 + EFFECT)]
    else:
        near = [one for one in figures if one[0] * (1 + EFFECT) >= max(values)]
    frameworks = {artifact.framework for _, artifact, _ in near}
    return {
        "framework": next(iter(frameworks)) if len(frameworks) == 1 else "tie",
        "rows": sorted(f"{row.path}:{row.variant} {row.way}" for _, _, row in near),
    }

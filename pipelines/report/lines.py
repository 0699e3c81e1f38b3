"""The lines and columns of the key figures, the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter

from pipelines.fairness.disturbed import judged
from pipelines.report import numbers
from pipelines.results import (
    ArtifactRow,
    Certificate,
    ContainerRow,
    Measurement,
    Report,
    Row,
    Scenario,
    Spread,
    Status,
)

NOT_SERVED = ""
"""Protocol of the line of an artifact that no row mentions."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the report, joined with its artifact."""

    row: Row
    artifact: ArtifactRow | None

    @property
    def name(self) -> str:
        """``path variant protocol``, as a recommendation names it."""
        return " ".join(part for part in (self.row.path, self.row.variant, self.row.protocol) if part)

    @property
    def measurement(self) -> Measurement:
        """What the row's figures are worth, by the load tests that they are of."""
        return judged(self.row).measurement

    @property
    def certificate(self) -> Certificate | None:
        return self.artifact.certificate if self.artifact else None

    def scenario(self, name: str) -> Scenario | None:
        return next((scenario for scenario in self.row.scenarios if scenario.name == name), None)


def lines(report: Report) -> list[Line]:
    """Every row in the report's order, then every artifact that no row mentions: nothing is silently absent."""
    artifacts = {(artifact.path, artifact.variant): artifact for artifact in report.artifacts}
    found = [Line(row, artifacts.get((row.path, row.variant))) for row in report.rows]
    mentioned = {(row.path, row.variant) for row in report.rows}
    for key, artifact in artifacts.items():
        if key not in mentioned:
            row = Row(artifact.path, artifact.variant, NOT_SERVED, artifact.status, artifact.reason)
            found.append(Line(row, artifact))
    return found


def container_name(one: ContainerRow) -> str:
    """``path variant protocol, way``: as a line, or a reason, names it."""
    return f"{one.row.path} {one.row.variant} {one.row.protocol}, {one.via}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A failed or skipped artifact or row, and every line that gives the same reason."""

    names: tuple[str, ...]
    status: Status
    sentence: str
    log: str


def troubles(report: Report) -> list[Trouble]:
    """What failed or was skipped, and why; one entry a reason."""
    grouped: dict[tuple[str, str], Trouble] = {}
    everything = [(f"{a.path} {a.variant}", a.status, a.reason) for a in report.artifacts]
    everything += [(f"{r.path} {r.variant} {r.protocol}", r.status, r.reason) for r in report.rows]
    everything += [(container_name(one), one.row.status, one.row.reason) for one in report.containers]
    for name, status, reason in everything:
        if status == "ok":
            continue
        sentence, log = numbers.sentence_and_log(reason)
        key = (status, reason or "")
        entry = grouped.get(key) or Trouble((), status, sentence or "no reason was given", log)
        grouped[key] = replace(entry, names=(*entry.names, name))
    return list(grouped.values())


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a line: where it stands, its unit, how it is read and written.

    ``why_missing`` says why there is none, ``doubt`` why there is one that must not be relied on, ``spread`` how far
    it scattered over the rounds of a run.
    """

    group: str
    title: str
    unit: str
    value: Callable[[Line], float | None]
    text: Callable[[float], str]
    why_missing: Callable[[Line], str | None] = lambda line: numbers.sentence_and_log(line.row.reason)[0] or None
    doubt: Callable[[Line], str | None] = lambda line: None  # noqa: ARG005
    spread: Callable[[Line], Spread | None] = lambda line: None  # noqa: ARG005

    def range_text(self, line: Line) -> str:
        """How far the figure scattered over the rounds, as `1.2–1.4`; empty if it was measured once."""
        spread = self.spread(line)
        return f"{self.text(spread.low)}–{self.text(spread.high)}" if spread else ""


def _of_certificate(field: str) -> Callable[[Line], float | None]:
    return lambda line: getattr(line.certificate, field) if line.certificate else None


def of_scenario(name: str, figure: str) -> Callable[[Line], float | None]:
    """Reads one figure of a line's scenario, as ``latency.p50_ms``."""

    def value(line: Line) -> float | None:
        found = line.scenario(name)
        return attrgetter(figure)(found) if found else None

    return value


def spread_of(figure: str, scenario: str | None = None) -> Callable[[Line], Spread | None]:
    """Reads the spread of a figure, of a scenario's or of the row's own."""

    def value(line: Line) -> Spread | None:
        found = line.scenario(scenario) if scenario else line.row
        return next((one for one in found.spreads if one.figure == figure), None) if found else None

    return value


def _why_no_scenario(name: str, percentile: str) -> Callable[[Line], str | None]:
    def why(line: Line) -> str | None:
        found = line.scenario(name)
        if found is None:
            return numbers.sentence_and_log(line.row.reason)[0] or f"the {name} scenario was not run"
        return unclaimable(found).get(percentile)

    return why


def invalid_because(scenario: Scenario | None) -> str | None:
    """Why a load test is not valid; None if it is, or was not run."""
    if scenario is None or scenario.valid:
        return None
    return numbers.plain(scenario.invalid_because or "no reason was given")


def unclaimable(scenario: Scenario) -> dict[str, str]:
    """Why percentiles are missing, by their names."""
    what = "queries" if scenario.name == "multi-stream" else "answers"
    where = " in a round" if scenario.rounds > 1 else ""
    return {
        one.percentile: f"{one.percentile} needs {one.needed:,} {what}, had {one.samples:,}{where}: test longer"
        for one in scenario.latency.unclaimable
    }


def _matches(line: Line) -> float | None:
    """The share of matching answers over all the scenarios that checked some."""
    checked = [s for s in line.row.scenarios if s.match_share is not None and s.answers_checked]
    total = sum(s.answers_checked for s in checked)
    return sum((s.match_share or 0.0) * s.answers_checked for s in checked) / total if total else None


def _size(line: Line) -> float | None:
    return line.artifact.size_bytes if line.artifact else None


def load_column(scenario: str, title: str, unit: str, figure: str) -> Column:
    """A column of one scenario's figure; that of a percentile has its name as ``title``."""
    return Column(
        scenario,
        title,
        unit,
        of_scenario(scenario, figure),
        numbers.figures,
        _why_no_scenario(scenario, title),
        lambda line: invalid_because(line.scenario(scenario)),
        spread_of(figure, scenario),
    )


def cpu_column(title: str, unit: str, figure: str) -> Column:
    """A column of CPU time a request, one at a time: never in doubt, since a disturbance hardly touches it."""
    return replace(load_column("single-stream", title, unit, figure), group="CPU", doubt=lambda line: None)  # noqa: ARG005


COLUMNS: tuple[Column, ...] = (
    Column("artifact", "Size", "MB", _size, numbers.megabytes),
    Column("artifact", "Max diff", "abs", _of_certificate("max_abs"), numbers.scientific),
    Column("artifact", "Top-1", "%", _of_certificate("top1"), numbers.percent),
    Column("artifact", "Accuracy", "%", _of_certificate("accuracy"), numbers.percent),
    Column(
        "process",
        "Cold start",
        "s",
        lambda line: line.row.cold_start_s,
        numbers.figures,
        spread=spread_of("cold_start_s"),
    ),
    Column(
        "process",
        "Memory",
        "MB",
        lambda line: line.row.peak_memory_bytes,
        numbers.megabytes,
        spread=spread_of("peak_memory_bytes"),
    ),
    load_column("server", "p50", "ms", "latency.p50_ms"),
    load_column("server", "p99", "ms", "latency.p99_ms"),
    load_column("single-stream", "p50", "ms", "latency.p50_ms"),
    cpu_column("Server", "ms", "server.cpu_ms_per_request"),
    cpu_column("Client", "µs", "generator.cpu_us_per_request"),
    load_column("offline", "Samples", "1/s", "load.samples_per_s"),
    Column("offline", "Of in-process", "%", lambda line: line.row.share_of_in_process, numbers.whole_percent),
    Column("answers", "Matching", "%", _matches, numbers.percent),
)

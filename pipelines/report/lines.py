"""Make the lines and columns of the key figures, the same in the terminal and on the page."""

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
"""Protocol in the line of an artifact that has no row."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the report and its artifact."""

    row: Row
    artifact: ArtifactRow | None

    @property
    def name(self) -> str:
        """The name of the row in a recommendation: ``path variant protocol``."""
        return " ".join(part for part in (self.row.path, self.row.variant, self.row.way) if part)

    @property
    def measurement(self) -> Measurement:
        """The quality of the row's figures, judged by its load tests."""
        return judged(self.row).measurement

    @property
    def certificate(self) -> Certificate | None:
        return self.artifact.certificate if self.artifact else None

    def scenario(self, name: str) -> Scenario | None:
        return next((scenario for scenario in self.row.scenarios if scenario.name == name), None)


def lines(report: Report) -> list[Line]:
    """List every row in the report's order, then every artifact without a row, so that nothing is silently absent."""
    artifacts = {(artifact.path, artifact.variant): artifact for artifact in report.artifacts}
    found = [Line(row, artifacts.get((row.path, row.variant))) for row in report.rows]
    mentioned = {(row.path, row.variant) for row in report.rows}
    for key, artifact in artifacts.items():
        if key not in mentioned:
            row = Row.at(artifact.path, artifact.variant, NOT_SERVED, artifact.status, artifact.reason)
            found.append(Line(row, artifact))
    return found


def container_name(one: ContainerRow) -> str:
    """Name a container's row as lines and reasons do: ``path variant protocol, way``."""
    return f"{one.row.path} {one.row.variant} {one.row.way}, {one.via}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A reason, and the names of all the artifacts and rows that failed or were skipped for it."""

    names: tuple[str, ...]
    status: Status
    sentence: str
    log: str


def troubles(report: Report) -> list[Trouble]:
    """List everything that failed or was skipped, grouped by reason."""
    grouped: dict[tuple[str, str], Trouble] = {}
    everything = [(f"{a.path} {a.variant}", a.status, a.reason) for a in report.artifacts]
    everything += [(f"{r.path} {r.variant} {r.way}", r.status, r.reason) for r in report.rows]
    everything += [(container_name(one), one.row.status, one.row.reason) for one in report.containers]
    for name, status, reason in everything:
        if status == "ok":
            continue
        sentence, log = numbers.sentence_and_log(reason)
        key = (status, reason or "")
        entry = grouped.get(key) or Trouble((), status, sentence or "no reason was given", log)
        grouped[key] = replace(entry, names=(*entry.names, name))
    return list(grouped.values())


def tried(row: ArtifactRow) -> list[str]:
    """Say of each way that was tried before an artifact was made why it was not taken."""
    if row.status != "ok":
        return []
    name = numbers.plain(f"{row.path} {row.variant}")
    return [f"{name} is made from {row.form}: from {one.form}, {numbers.plain(one.reason)}" for one in row.tries]


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a line: its heading and unit, how to read it and how to format it.

    ``why_missing`` explains a missing figure and ``doubt`` an unreliable one; ``spread`` is its range over the rounds
    of a run.
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
        """Format the range of the figure over the rounds, as `1.2–1.4`; empty if it was measured once."""
        spread = self.spread(line)
        return f"{self.text(spread.low)}–{self.text(spread.high)}" if spread else ""


def _of_certificate(field: str) -> Callable[[Line], float | None]:
    return lambda line: getattr(line.certificate, field) if line.certificate else None


def of_scenario(name: str, figure: str) -> Callable[[Line], float | None]:
    """Read a figure of a line's scenario, such as ``latency.p50_ms``."""

    def value(line: Line) -> float | None:
        found = line.scenario(name)
        return attrgetter(figure)(found) if found else None

    return value


def spread_of(figure: str, scenario: str | None = None) -> Callable[[Line], Spread | None]:
    """Read the spread of a figure, of a scenario or of the row itself."""

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
    """Explain why a load test is not valid; None if it is valid or was not run."""
    if scenario is None or scenario.valid:
        return None
    return numbers.plain(scenario.invalid_because or "no reason was given")


def unclaimable(scenario: Scenario) -> dict[str, str]:
    """Explain each missing percentile: {name: reason}."""
    what = "queries" if scenario.name == "multi-stream" else "answers"
    where = " in a round" if scenario.rounds > 1 else ""
    return {
        one.percentile: f"{one.percentile} needs {one.needed:,} {what}, had {one.samples:,}{where}: test longer"
        for one in scenario.latency.unclaimable
    }


def _matches(line: Line) -> float | None:
    """Compute the share of matching answers over all scenarios that checked answers."""
    checked = [s for s in line.row.scenarios if s.match_share is not None and s.answers_checked]
    total = sum(s.answers_checked for s in checked)
    return sum((s.match_share or 0.0) * s.answers_checked for s in checked) / total if total else None


def _size(line: Line) -> float | None:
    return line.artifact.size_bytes if line.artifact else None


def load_column(scenario: str, title: str, unit: str, figure: str) -> Column:
    """Make a column for a figure of one scenario; for a percentile, ``title`` is its name."""
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
    """Return a column of CPU time a request, one at a time: never in doubt, since a disturbance hardly touches it."""
    return replace(load_column("single-stream", title, unit, figure), group="CPU", doubt=lambda line: None)  # noqa: ARG005


OF_TASK: dict[str, tuple[Column, ...]] = {
    "top-1": (
        Column("artifact", "Top-1", "%", _of_certificate("top1"), numbers.percent),
        Column("artifact", "Accuracy", "%", _of_certificate("accuracy"), numbers.percent),
    ),
    "cosine": (
        Column("artifact", "Cosine", "", _of_certificate("cosine"), lambda value: f"{value:.6f}"),
        Column("artifact", "Recall@1", "%", _of_certificate("accuracy"), numbers.percent),
    ),
    "differences": (),
}
"""Agreement with the reference, by what a model's task is judged by."""


def columns(report: Report) -> list[Column]:
    """List the columns of the key figures of a report's model."""
    place = 1 + max(index for index, column in enumerate(COLUMNS) if column.group == "artifact")
    return [*COLUMNS[:place], *OF_TASK[report.task], *COLUMNS[place:]]


COLUMNS: tuple[Column, ...] = (
    load_column("server", "p99", "ms", "latency.p99_ms"),
    load_column("server", "p50", "ms", "latency.p50_ms"),
    Column("artifact", "Size", "MB", _size, numbers.megabytes),
    Column("artifact", "Max diff", "abs", _of_certificate("max_abs"), numbers.scientific),
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
    load_column("single-stream", "p50", "ms", "latency.p50_ms"),
    cpu_column("Server", "ms", "server.cpu_ms_per_request"),
    cpu_column("Client", "µs", "generator.cpu_us_per_request"),
    load_column("offline", "Samples", "1/s", "load.samples_per_s"),
    Column("offline", "Of in-process", "%", lambda line: line.row.share_of_in_process, numbers.whole_percent),
    Column("answers", "Matching", "%", _matches, numbers.percent),
)

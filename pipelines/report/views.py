"""Prepare the contents of the page, so that the template only lays them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from pipelines.report import numbers
from pipelines.report.lines import Column, Line, invalid_because, unclaimable
from pipelines.results import ArtifactRow, Certificate, Flip, Report, Scenario

FLIPS_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of a table: its text, its value for sorting, why it is missing or in doubt, its range."""

    text: str
    value: float | None
    why: str | None = None
    doubt: str | None = None
    spread: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    title: str
    unit: str


@dataclass(frozen=True, slots=True)
class LoadTable:
    """The load tests of all rows in one scenario, and notes about some of them."""

    scenario: str
    setup: str
    headers: Sequence[Header]
    rows: Sequence[tuple[Line, Scenario, Sequence[Cell]]]
    notes: Sequence[tuple[str, str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class ParityRow:
    artifact: ArtifactRow
    certificate: Certificate
    cells: Sequence[Cell]
    flips: Sequence[Flip]
    flips_left_out: int


def key_cells(line: Line, columns: Sequence[Column]) -> list[Cell]:
    """Format the key figures of one line, in the order of the columns."""
    return [_key_cell(column, line) for column in columns]


def key_groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """List the groups of the columns, each with its number of columns."""
    groups: dict[str, int] = {}
    for column in columns:
        groups[column.group] = groups.get(column.group, 0) + 1
    return list(groups.items())


def _key_cell(column: Column, line: Line) -> Cell:
    value = column.value(line)
    if value is None:
        return Cell(numbers.DASH, None, why=column.why_missing(line))
    return Cell(column.text(value), value, doubt=column.doubt(line), spread=column.range_text(line))


def _cell(value: float | None, text: Callable[[float], str], why: str | None = None) -> Cell:
    return Cell(numbers.DASH, None, why) if value is None else Cell(text(value), value)


def _accuracy(proof: Certificate) -> Cell:
    return _cell(proof.accuracy, numbers.percent, NO_LABELS if proof.reference_accuracy is None else NOT_WHOLE)


def _number(
    figure: str, title: str, unit: str, text: Callable[[float], str] = numbers.figures
) -> tuple[str, Header, Any]:
    return figure, Header(title, unit), text


_SETUP = (
    _number("load.offered_per_s", "Offered", "req/s"),
    _number("load.batch", "Batch", "rows", numbers.count),
    _number("load.concurrency", "At once", "req", numbers.count),
    _number("load.duration_s", "Time", "s"),
    _number("rounds", "Rounds", "", numbers.count),
)
_SAID_ONCE = {
    "load.offered_per_s": "{} requests/s offered",
    "load.batch": "batch {}",
    "load.concurrency": "{} at once",
    "load.duration_s": "{} s",
    "rounds": "rounds {}",
}
_MEASURED = (
    _number("load.rate_per_s", "Achieved", "req/s"),
    _number("load.samples_per_s", "Samples", "1/s"),
    _number("latency.p50_ms", "p50", "ms"),
    _number("latency.p90_ms", "p90", "ms"),
    _number("latency.p99_ms", "p99", "ms"),
    _number("latency.max_ms", "Max", "ms"),
    _number("latency.mean_ms", "Mean", "ms"),
    _number("load.requests", "Requests", "", numbers.count),
    _number("load.errors", "Errors", "", numbers.count),
    _number("answers_checked", "Checked", "", numbers.count),
    _number("match_share", "Matching", "%", numbers.percent),
    _number("generator.send_lag_p50_us", "Lag p50", "µs", numbers.count),
    _number("generator.send_lag_p99_us", "Lag p99", "µs", numbers.count),
    _number("generator.cpu_us_per_request", "Client CPU", "µs/req", numbers.count),
    _number("server.cpu_ms_per_request", "Server CPU", "ms/req"),
    _number("server.cores", "Server", "cores"),
    _number("server.foreign_cpu_share", "Others", "% CPU", numbers.whole_percent),
    _number("generator.steal_share", "Stolen", "% CPU", numbers.whole_percent),
)


def load_tables(found: Sequence[Line]) -> list[LoadTable]:
    """Make a table for each scenario that any row ran, in the order of first appearance."""
    names = dict.fromkeys(scenario.name for line in found for scenario in line.row.scenarios)
    return [_load_table(name, found) for name in names]


def _load_table(name: str, found: Sequence[Line]) -> LoadTable:
    """Make the table; settings that all rows share are shown once, above it."""
    loads = [(line, scenario) for line in found if (scenario := line.scenario(name))]
    said_once, columns = [], []
    for figure, header, text in _SETUP:
        texts = {_cell(attrgetter(figure)(scenario), text).text for _, scenario in loads}
        if len(texts) > 1:
            columns.append((figure, header, text))
        elif texts != {numbers.DASH}:
            said_once.append(_SAID_ONCE[figure].format(texts.pop()))
    empty = [one for one in _MEASURED if all(attrgetter(one[0])(scenario) is None for _, scenario in loads)]
    columns += [one for one in _MEASURED if one not in empty]
    rows = []
    notes: dict[tuple[str, str], list[str]] = {}
    for line, scenario in loads:
        cells = []
        missing = unclaimable(scenario)
        for figure, header, text in columns:
            cell = _cell(attrgetter(figure)(scenario), text, missing.get(header.title))
            spread = next((one for one in scenario.spreads if one.figure == figure), None)
            cells.append(replace(cell, spread=f"{text(spread.low)}–{text(spread.high)}") if spread else cell)
        rows.append((line, scenario, cells))
        said = [("not valid", why)] if (why := invalid_because(scenario)) else []
        said += [("not claimable", text) for text in missing.values()]
        said += [("error", numbers.plain(text)) for text in scenario.load.error_examples]
        for kind_and_text in said:
            notes.setdefault(kind_and_text, []).append(numbers.plain(line.name))
    return LoadTable(
        name,
        " ".join(
            f"{what}: {', '.join(words)}."
            for what, words in (("All rows", said_once), ("Not measured", [one[1].title for one in empty]))
            if words
        ),
        [header for _, header, _ in columns],
        rows,
        [(kind, text, names) for (kind, text), names in notes.items()],
    )


@dataclass(frozen=True, slots=True)
class ParityColumn:
    """One figure of the certificates; ``task`` is that of the models that have it, None for all."""

    header: Header
    cell: Callable[[Certificate], Cell]
    task: str | None = None


NO_LABELS = "the evaluation set has no labels"
NOT_WHOLE = "too slow to be asked for the whole evaluation set"
PARITY_COLUMNS = (
    ParityColumn(Header("SQNR", "dB"), lambda proof: _cell(proof.sqnr_db, numbers.figures, "nothing differs")),
    ParityColumn(
        Header("Least SQNR", "dB"),
        lambda proof: _cell(proof.min_sqnr_db, numbers.figures, "the user's limit is in its place"),
    ),
    ParityColumn(Header("Max abs diff", ""), lambda proof: _cell(proof.max_abs, numbers.scientific)),
    ParityColumn(Header("Limit", ""), lambda proof: _cell(proof.atol, numbers.scientific, "judged by SQNR")),
    ParityColumn(Header("99.9 % below", ""), lambda proof: _cell(proof.p999_abs, numbers.scientific)),
    ParityColumn(Header("Cosine", ""), lambda proof: _cell(proof.cosine, lambda value: f"{value:.7f}")),
    ParityColumn(
        Header("Least cosine", ""), lambda proof: _cell(proof.min_cosine, lambda value: f"{value:.7f}"), "cosine"
    ),
    ParityColumn(Header("Top-1", "%"), lambda proof: _cell(proof.top1, numbers.percent), "top-1"),
    ParityColumn(Header("Least top-1", "%"), lambda proof: _cell(proof.min_top1, numbers.percent), "top-1"),
    ParityColumn(Header("Accuracy", "%"), _accuracy, "top-1"),
    ParityColumn(Header("Recall@1", "%"), _accuracy, "cosine"),
    ParityColumn(
        Header("Of reference", "%"), lambda proof: _cell(proof.reference_accuracy, numbers.percent, NO_LABELS), "top-1"
    ),
    ParityColumn(Header("Flips", "rows"), lambda proof: _cell(len(proof.flips), numbers.count), "top-1"),
    ParityColumn(
        Header("Largest margin", "logits"),
        lambda proof: _cell(proof.margin, numbers.figures, "no first class changed"),
        "top-1",
    ),
    ParityColumn(
        Header("Margin limit", "logits"),
        lambda proof: _cell(proof.most_margin, numbers.figures, "the user's limit is in its place"),
        "top-1",
    ),
)


def parity_columns(report: Report) -> list[ParityColumn]:
    """List the figures of the certificates that a report's model has."""
    return [column for column in PARITY_COLUMNS if column.task in (None, report.task)]


def parity_rows(report: Report) -> list[ParityRow]:
    """List the certificates; their flips are sorted by the reference's margin, largest first."""
    rows = []
    for artifact in report.artifacts:
        proof = artifact.certificate
        if proof is None:
            continue
        flips = sorted(proof.flips, key=lambda flip: -flip.margin)
        cells = tuple(column.cell(proof) for column in parity_columns(report))
        shown = flips[:FLIPS_SHOWN]
        rows.append(ParityRow(artifact, proof, cells, shown, len(flips) - len(shown)))
    return rows

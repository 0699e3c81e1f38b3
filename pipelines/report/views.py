"""What the page shows, made ready: the template only lays it out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.report import numbers
from pipelines.report.lines import COLUMNS, Column, Line, invalid_because
from pipelines.results import ArtifactRow, Certificate, Flip, Scenario, percentile_of

FLIPS_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of a table: its text, its value for sorting, why it is missing, why it is in doubt, its scatter."""

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
    """All rows' load tests of one scenario, and what is to be said about some of them."""

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


def key_cells(line: Line, columns: Sequence[Column] = COLUMNS) -> list[Cell]:
    """The key figures of one line, in the order of the columns."""
    return [_key_cell(column, line) for column in columns]


def key_groups(columns: Sequence[Column] = COLUMNS) -> list[tuple[str, int]]:
    """The groups of the columns, with the number of columns of each."""
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


def _number(
    field: str, title: str, unit: str, text: Callable[[float], str] = numbers.figures
) -> tuple[str, Header, Any]:
    return field, Header(title, unit), text


_SETUP = (
    _number("offered_per_s", "Offered", "req/s"),
    _number("batch", "Batch", "rows", numbers.count),
    _number("concurrency", "At once", "req", numbers.count),
    _number("duration_s", "Time", "s"),
    _number("attempts", "Attempts", "", numbers.count),
    _number("rounds", "Rounds", "", numbers.count),
)
_SAID_ONCE = {
    "offered_per_s": "{} requests/s offered",
    "batch": "batch {}",
    "concurrency": "{} at once",
    "duration_s": "{} s",
    "attempts": "attempts {}",
    "rounds": "rounds {}",
}
_MEASURED = (
    _number("rate_per_s", "Achieved", "req/s"),
    _number("samples_per_s", "Samples", "1/s"),
    _number("p50_ms", "p50", "ms"),
    _number("p90_ms", "p90", "ms"),
    _number("p99_ms", "p99", "ms"),
    _number("max_ms", "Max", "ms"),
    _number("mean_ms", "Mean", "ms"),
    _number("requests", "Requests", "", numbers.count),
    _number("errors", "Errors", "", numbers.count),
    _number("answers_checked", "Checked", "", numbers.count),
    _number("match_share", "Matching", "%", numbers.percent),
    _number("send_lag_p50_us", "Lag p50", "µs", numbers.count),
    _number("send_lag_p99_us", "Lag p99", "µs", numbers.count),
    _number("client_cpu_us_per_request", "Client CPU", "µs/req", numbers.count),
    _number("server_cpu_ms_per_request", "Server CPU", "ms/req"),
    _number("server_cores", "Server", "cores"),
    _number("foreign_cpu_share", "Others", "% CPU", numbers.whole_percent),
    _number("steal_share", "Stolen", "% CPU", numbers.whole_percent),
)


def load_tables(found: Sequence[Line]) -> list[LoadTable]:
    """A table for each scenario that any row ran, in the order of their first appearance."""
    names = dict.fromkeys(scenario.name for line in found for scenario in line.row.scenarios)
    return [_load_table(name, found) for name in names]


def _load_table(name: str, found: Sequence[Line]) -> LoadTable:
    """The table; what was set alike for all rows is said once, above it."""
    loads = [(line, scenario) for line in found if (scenario := line.scenario(name))]
    said_once, columns = [], []
    for field, header, text in _SETUP:
        texts = {_cell(getattr(scenario, field), text).text for _, scenario in loads}
        if len(texts) > 1:
            columns.append((field, header, text))
        elif texts != {numbers.DASH}:
            said_once.append(_SAID_ONCE[field].format(texts.pop()))
    empty = [one for one in _MEASURED if all(getattr(scenario, one[0]) is None for _, scenario in loads)]
    columns += [one for one in _MEASURED if one not in empty]
    rows = []
    notes: dict[tuple[str, str], list[str]] = {}
    for line, scenario in loads:
        cells = []
        for field, header, text in columns:
            why = next((one for one in scenario.unclaimable if percentile_of(one) == header.title), None)
            cell = _cell(getattr(scenario, field), text, numbers.plain(why) if why else None)
            spread = next((one for one in scenario.spreads if one.figure == field), None)
            cells.append(replace(cell, spread=f"{text(spread.low)}–{text(spread.high)}") if spread else cell)
        rows.append((line, scenario, cells))
        said = [("not valid", why)] if (why := invalid_because(scenario)) else []
        said += [("not claimable", numbers.plain(text)) for text in scenario.unclaimable]
        said += [("error", numbers.plain(text)) for text in scenario.error_examples]
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


PARITY_HEADERS = (
    Header("Max abs diff", ""),
    Header("Tolerance", ""),
    Header("Cosine", ""),
    Header("Top-1", "%"),
    Header("Least top-1", "%"),
    Header("Accuracy", "%"),
    Header("Of reference", "%"),
    Header("Flips", "rows"),
    Header("Largest margin", "logits"),
)


def parity_rows(artifacts: Sequence[ArtifactRow]) -> list[ParityRow]:
    """The certificates, each flip with the reference's margin, the surest answers first."""
    rows = []
    for artifact in artifacts:
        proof = artifact.certificate
        if proof is None:
            continue
        flips = sorted(proof.flips, key=lambda flip: -flip.margin)
        cells = (
            _cell(proof.max_abs, numbers.scientific),
            _cell(proof.atol, numbers.scientific),
            _cell(proof.cosine, lambda value: f"{value:.7f}"),
            _cell(proof.top1, numbers.percent),
            _cell(proof.min_top1, numbers.percent),
            _cell(proof.accuracy, numbers.percent, "the evaluation set has no labels"),
            _cell(proof.reference_accuracy, numbers.percent, "the evaluation set has no labels"),
            _cell(len(flips), numbers.count),
            _cell(flips[0].margin if flips else None, numbers.figures, "no first class changed"),
        )
        shown = flips[:FLIPS_SHOWN]
        rows.append(ParityRow(artifact, proof, cells, shown, len(flips) - len(shown)))
    return rows

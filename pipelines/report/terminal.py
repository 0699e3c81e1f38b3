"""Show the report in a terminal: tables that fit its width, the reasons, and last the recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelines.report import browser_lines, fairness_view, numbers
from pipelines.report.container_lines import CONTAINER_COLUMNS, container_lines
from pipelines.report.cost_lines import NOTE, TITLE, cost_columns, cost_lines, cost_notes
from pipelines.report.lines import Column, Line, columns, invalid_because, lines, tried, troubles
from pipelines.results import Cause, Recommendation, Report, Status

STYLES: dict[Status, str] = {"ok": "green", "failed": "bold red", "skipped": "yellow"}
MARKS: dict[Status, str] = {"ok": "✓", "failed": "✗", "skipped": "–"}
GAP = 2


def show(report: Report, console: Console | None = None, *, brief: bool = False) -> None:
    """Print the report, with the console's colours and width: no colour and 80 columns through a pipe.

    ``brief`` replaces the long table of the cost of each layer by a pointer to it.
    """
    console = console or Console()
    found = lines(report)
    console.print(_header(report, found))
    for table in tables(found, console.width, columns(report)):
        console.print(table)
        console.print()
    in_browser = browser_lines.browser_lines(found)
    if in_browser:
        console.print(Text(browser_lines.TITLE, style="bold"))
    for table in tables(in_browser, console.width, browser_lines.BROWSER_COLUMNS):
        console.print(table)
        console.print()
    contained = container_lines(report)
    if contained:
        console.print(Text("What a container costs, beside the bare process", style="bold"))
    for table in tables(contained, console.width, CONTAINER_COLUMNS):
        console.print(table)
        console.print()
    _print_cost(report, console, brief=brief)
    _print_reasons(report, console)
    _print_tries(report, console)
    measured = [*found, *(line for line in contained if line.container)]
    _print_doubts(measured, console)
    _print_fairness(report, measured, console)
    _print_servers(report, console)
    show_recommendation(report.recommendation, console)


def show_lines(found: Sequence[Line], report: Report, console: Console | None = None) -> None:
    """Print the key figures of some of a report's rows."""
    console = console or Console()
    for table in tables(found, console.width, columns(report)):
        console.print(table)


def tables(found: Sequence[Line], width: int, figures: Sequence[Column]) -> list[Table]:
    """Lay out the key figures in as few tables of ``width`` columns as possible, each with the rows' names.

    No figure is ever cut: a column that does not fit starts the next table. If one table is not enough, names are
    shortened: an artifact's name is shown once, with its protocols below it.
    """
    if not found:
        return []
    columns = _columns(found, figures)
    key = _Column(Text("\n\nrow"), tuple(Text(numbers.plain(line.name), style="bold") for line in found))
    if key.width + sum(GAP + column.width for column in columns) > width:
        sections, key = _in_sections(found)
        columns = _columns(sections, figures)
    key_width = min(key.width, max(20, width // 2))
    pages: list[list[_Column]] = [[]]
    room = width - key_width
    for column in columns:
        if pages[-1] and room < column.width + GAP:
            pages.append([])
            room = width - key_width
        pages[-1].append(column)
        room -= column.width + GAP
    return [_table(key, key_width, page) for page in pages]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as text: a header of three lines, and one cell for each line of the table."""

    header: Text
    cells: tuple[Text, ...]
    justify: Literal["left", "right"] = "left"

    @property
    def width(self) -> int:
        return max(line.cell_len for text in (self.header, *self.cells) for line in text.split("\n"))


def _in_sections(found: Sequence[Line]) -> tuple[list[Line | None], _Column]:
    """Put a heading (None) before the lines of each artifact; return them and the column of names."""
    sections: list[Line | None] = []
    names = []
    for (path, variant), group in groupby(found, key=lambda line: (line.row.path, line.row.variant)):
        members = list(group)
        sections += [None, *members]
        names.append(Text(numbers.plain(f"{path} {variant}"), style="bold"))
        names += [Text(f"  {numbers.plain(line.row.way)}") for line in members]
    return sections, _Column(Text("\n\nrow"), tuple(names))


def _columns(found: Sequence[Line | None], figures: Sequence[Column]) -> list[_Column]:
    """Make the columns of the status and every figure; a heading (None) has empty cells."""
    empty = Text("")
    status = (_status(line) if line else empty for line in found)
    columns = [_Column(Text("\n\nstatus"), tuple(status))]
    for column in figures:
        cells = tuple(_cell(column, line) if line else empty for line in found)
        columns.append(_Column(Text(f"{column.group}\n{column.title}\n{column.unit}"), cells, "right"))
    return columns


def _status(line: Line) -> Text:
    """Format the status of the path; if it is ok but its measurement is not sound, add that."""
    row = line.row
    text = Text(f"{MARKS[row.status]} {row.status}", STYLES[row.status])
    if row.status == "ok" and line.measurement != "sound" and row.scenarios:
        text.append(f"\n! {line.measurement}", style="yellow")
    return text


def _cell(column: Column, line: Line) -> Text:
    """Format a figure: a dash if it is missing, with a mark if it is unreliable."""
    value = column.value(line)
    if value is None:
        return Text(numbers.DASH, "dim")
    text = column.text(value)
    if scatter := column.range_text(line):
        text = f"{text}\n{scatter}"
    return Text(f"! {text}", "yellow") if column.doubt(line) else Text(text)


def _table(key: _Column, key_width: int, columns: Sequence[_Column]) -> Table:
    # The divider of the box is the second space of the gap.
    table = Table(box=SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
    table.add_column(key.header, width=key_width, overflow="fold")
    for column in columns:
        table.add_column(column.header, justify=column.justify, width=column.width, overflow="fold")
    for cells in zip(key.cells, *(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table


def _header(report: Report, found: Sequence[Line]) -> Text:
    counts = ", ".join(f"{n} {status}" for status in STYLES if (n := sum(line.row.status == status for line in found)))
    machine = report.machine
    text = Text(numbers.plain(report.title), style="bold")
    text.append(
        f"\n{numbers.plain(report.model)} · {counts or 'no rows'} · {numbers.duration(report.wall_s)} · "
        f"{numbers.plain(machine.cpu)}, {machine.cores} cores\n",
        style="not bold dim",
    )
    if report.interrupted:
        text.append("Interrupted: these results are complete, but not everything was run.\n", style="not bold yellow")
    noise = fairness_view.banner(report)
    if noise:
        text.append(f"NOISY MACHINE  {noise}\n", style="not bold red")
    return text


def _print_cost(report: Report, console: Console, *, brief: bool) -> None:
    """Print the cost of each layer and the reasons for missing figures; if ``brief``, only where to find them."""
    found = cost_lines(report)
    if not found:
        return
    if brief:
        where = f"{TITLE}: see report.html or run `slipway report {numbers.plain(report.model)}`."
        console.print(Text(where, style="dim"), overflow="fold")
        return
    console.print(Text(TITLE, style="bold"))
    console.print(Text(NOTE, style="dim", overflow="fold"))
    for table in tables(found, console.width, cost_columns(found)):
        console.print(table)
        console.print()
    for names, why in cost_notes(found):
        console.print(Text(f"– {numbers.plain(names)}", style="yellow"), overflow="fold")
        console.print(Padding(Text(why, overflow="fold"), (0, 0, 0, 2), expand=False))


def _print_fairness(report: Report, found: Sequence[Line], console: Console) -> None:
    """Print how rows were measured, and every row that computed on more threads than allowed."""
    for sentence in fairness_view.sentences(report):
        console.print(Text(numbers.plain(sentence), style="dim"), overflow="fold")
    for one in fairness_view.thread_rows(report, found):
        if one.verdict == "breach":
            text = Text("! more threads than allowed ", style="yellow")
            text.append(numbers.plain(one.line.name), style="bold not dim")
            console.print(text, overflow="fold")
            console.print(Padding(Text(numbers.plain(one.why), overflow="fold"), (0, 0, 0, 2), expand=False))


def _print_reasons(report: Report, console: Console) -> None:
    """Print every failed or skipped line, its reason and the end of its log, all uncut."""
    for trouble in troubles(report):
        style = STYLES[trouble.status]
        names = Text(f"{MARKS[trouble.status]} {trouble.status} ", style=style)
        names.append(numbers.plain(", ".join(trouble.names)), style="not dim bold")
        console.print(names, overflow="fold")
        console.print(Padding(Text(trouble.sentence, overflow="fold"), (0, 0, 0, 2), expand=False))
        if trouble.log:
            console.print(Padding(Text(trouble.log, style="dim", overflow="fold"), (0, 0, 0, 4), expand=False))


def _print_tries(report: Report, console: Console) -> None:
    """Print every artifact that was made in another way than the first one, and why."""
    for row in report.artifacts:
        for line in tried(row):
            console.print(Text(line, overflow="fold"))


def _print_doubts(found: Sequence[Line], console: Console) -> None:
    """Print every load test that is not valid, and why, unless the row failed for that same reason."""
    for line in found:
        for scenario in line.row.scenarios:
            why = invalid_because(scenario)
            if why and why not in numbers.plain(line.row.reason or ""):
                disturbed = Cause.MACHINE in scenario.invalid_causes
                text = Text(f"! load test {'disturbed' if disturbed else 'not valid'} ", style="yellow")
                text.append(f"{numbers.plain(line.name)}, {scenario.name}", style="bold not dim")
                console.print(text, overflow="fold")
                console.print(Padding(Text(why, overflow="fold"), (0, 0, 0, 2), expand=False))


def _print_servers(report: Report, console: Console) -> None:
    """Print the program that answered for each path, or the reason why there was none."""
    seen: dict[tuple[str, str], None] = {}
    for row in report.rows:
        what = row.server or (row.reason if row.status == "ok" else None)
        if what:
            seen[row.path, what] = None
    for path, what in seen:
        text = Text(numbers.plain(path), style="bold")
        text.append(f": {numbers.plain(what)}", style="not bold")
        console.print(text, overflow="fold")


def show_recommendation(recommendation: Recommendation, console: Console | None = None) -> None:
    """Print which row to ship, how sure that is, and why."""
    console = console or Console()
    text = Text("\n")
    if recommendation.row:
        text.append(f"Ship {numbers.plain(recommendation.row)} ({recommendation.certainty})", style="bold green")
    else:
        text.append("Nothing to ship", style="bold red")
    text.append(f"\n{numbers.plain(recommendation.reason)}")
    console.print(text, overflow="fold")

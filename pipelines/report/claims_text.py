"""Shows the ledger and one claim in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.claims import ClaimReading, Ruling
from pipelines.claims.ledger.view import ClaimView, LedgerLine

COLOURS = {
    Ruling.HOLDS: "green",
    Ruling.DOES_NOT_HOLD: "red",
    Ruling.DEPENDS: "yellow",
    Ruling.UNDECIDED: "magenta",
    Ruling.NOT_HERE: "dim",
    None: "dim",
}
DAY = len("2026-11-29")


def show(lines: Sequence[LedgerLine]) -> None:
    """Print one line for each claim, and below how many there are of each outcome."""
    table = Table("id", "claim", "verdict", "reading", "measured", box=None, pad_edge=False, header_style="bold")
    for line in lines:
        verdict = f"[{COLOURS[line.outcome]}]{line.outcome or 'not measured'}[/]"
        table.add_row(line.id, escape(line.sentence.en), verdict, escape(line.number), _measured(line))
    console = Console(highlight=False)
    console.print(table)
    counts = {outcome: sum(line.outcome is outcome for line in lines) for outcome in [*Ruling, None]}
    parts = [f"{count} {outcome or 'not measured'}" for outcome, count in counts.items() if count]
    console.print(f"\n{len(lines)} claims: {', '.join(parts)}")
    machines = sorted({line.machine for line in lines if line.machine})
    if machines:
        console.print(f"Measured on: {escape('; '.join(machines))}", style="dim")
    if any(line.stale for line in lines):
        console.print("*: by other code, libraries or another processor; `slipway claims run` measures it again")
    for line in lines:
        if line.void:
            console.print(f"{line.id}: the newest measurement is void: {escape(line.void)}", style="yellow")
        if line.failed:
            console.print(f"{line.id}: {escape(line.failed)}", style="red", soft_wrap=True)
    if any(line.outcome is None for line in lines):
        console.print("`slipway claims run` measures; `slipway claims run --quick` takes a quarter of the time")


def _measured(line: LedgerLine) -> str:
    if line.measured is None:
        return ""
    return f"{line.measured[:DAY]}{'*' if line.stale else ''}{' quick' if line.effort == 'quick' else ''}"


def show_one(view: ClaimView) -> None:
    """Print a claim's words, rule, readings with their raw pairs, facts and doubts."""
    console = Console(highlight=False, soft_wrap=True)
    line, words, entry = view.line, view.words, view.entry
    console.print(f"[bold]{line.id}[/]  {escape(words.sentence.en)}")
    console.print(f"    {escape(words.original)}\n    {escape(words.sentence.zh)}\n", style="dim")
    console.print(f"[{COLOURS[line.outcome]}]{line.outcome or 'not measured'}[/]  {escape(line.number)}")
    if line.says is not None:
        console.print(escape(line.says.en))
    parts = {
        "Rule": words.rule.en,
        "What else could explain it": words.confounds.en,
        "It would change": words.changes.en,
    }
    for title, text in parts.items():
        console.print(f"\n[bold]{title}[/]  {escape(text)}")
    for one in view.elsewhere:
        console.print(f"[bold]Elsewhere[/] ({one.sign})  {escape(one.text.en)}  [dim]{escape(one.source)}[/]")
    if entry is None:
        console.print(f"\nNot measured. This does it: slipway claims run {line.id}")
        return
    for title, readings in (("Readings", entry.evidence.readings), ("Controls", entry.evidence.controls)):
        if readings:
            console.print(f"\n[bold]{title}[/]")
            for reading in readings:
                console.print(f"  {escape(shown(reading))}")
                if reading.raw:
                    console.print(
                        f"    {'  '.join('/'.join(f'{v:.4g}' for v in row) for row in reading.raw)}", style="dim"
                    )
    for name, value in entry.evidence.facts.items():
        console.print(f"  {escape(name)}: {escape(str(value))}")
    for warning in entry.evidence.warnings:
        console.print(f"  deprecated: {escape(warning)}", style="yellow")
    where = f"on {escape(entry.machine.cpu)}, {entry.machine.cores} cores"
    console.print(f"\nMeasured {entry.started} {where}, in {entry.took_s:.0f} s", style="dim")
    console.print(f"Effort {entry.effort.name.lower()}, seed {entry.seed}", style="dim")
    console.print(f"Again: slipway claims run {line.id} --again", style="dim")


def shown(reading: ClaimReading) -> str:
    """Write a reading with its interval."""
    interval = "" if reading.low is None or reading.high is None else f" [{reading.low:.3g} to {reading.high:.3g}]"
    return f"{reading.name}: {reading.value:.3g}{interval} {'' if reading.unit == 'x' else reading.unit}".rstrip()

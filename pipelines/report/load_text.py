"""Print the results of a load test of any server, and of a search for the highest rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from pipelines.loadtest.standalone.repetitions import Result
from pipelines.loadtest.standalone.search import SearchResult
from pipelines.loadtest.statistics.intervals import Interval
from pipelines.report.lines import unclaimable
from pipelines.results import Scenario


def show(url: str, result: Result, ratios: Mapping[str, Interval | str]) -> None:
    """Prints a load test, with the ratios to another one if it was compared."""
    one = result.whole
    load, times, generator = one.load, one.latency, one.generator
    click.echo(f"{one.name}  {url}  {load.duration_s:.4g} s" + ("  PARTIAL" if one.partial else ""))
    click.echo(
        f"  {_text(load.rate_per_s)}/s answered"
        + (f" of {_text(load.offered_per_s)}/s offered" if load.offered_per_s else "")
    )
    click.echo(f"  {load.requests:,} requests, {load.errors:,} errors" + _matching(one))
    latency = "  ".join(
        f"{name} {_text(getattr(times, f'{name}_ms'))}" for name in ("p50", "p90", "p99", "max", "mean")
    )
    click.echo(f"  latency ms: {latency}")
    if generator.send_lag_p99_us is not None:
        lag = ", ".join(f"{name} {_text(getattr(generator, f'send_lag_{name}_us'))}" for name in ("p50", "p99", "max"))
        click.echo(f"  generator: send lag us {lag}; {_text(100 * (generator.cpu_share or 0))} % of a core")
    for percentile, interval in result.intervals.items():
        if isinstance(interval, str):
            click.echo(f"  {percentile}: {interval}")
        else:
            low, high = _text(interval.low), _text(interval.high)
            click.echo(f"  {percentile} {low} to {high} ms (holds the truth {interval.coverage:.0%} of the time)")
    for name, ratio in ratios.items():
        click.echo(f"  {name} relative to the base: {_ratio_text(ratio)}")
    for text in (*unclaimable(one).values(), *load.error_examples, *result.notes):
        click.echo(f"  note: {text}")
    click.echo("valid" if one.valid else f"INVALID: {one.invalid_because}")


def _matching(one: Scenario) -> str:
    return (
        f", {one.match_share:.2%} of {one.answers_checked:,} checked answers correct"
        if one.match_share is not None
        else ""
    )


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _ratio_text(ratio: Interval | str) -> str:
    return ratio if isinstance(ratio, str) else f"{ratio.value:.3f} times ({ratio.low:.3f} to {ratio.high:.3f})"


def show_search(found: SearchResult, notes: Sequence[str] = ()) -> None:
    """Prints the rates of a search, the notes, and the rate that was found."""
    for point in found.curve():
        mark = "held" if point.held else "failed"
        click.echo(f"  {point.offered_per_s:10,.1f}/s  p50 {_text(point.p50_ms)}  p99 {_text(point.p99_ms)} ms  {mark}")
    for text in notes:
        click.echo(f"  note: {text}")
    if found.rate_per_s is None:
        click.echo(f"no rate with p99 <= {found.target_ms:g} ms was found: {found.note}")
    else:
        state = "confirmed by a longer run" if found.confirmed else f"NOT CONFIRMED: {found.note}"
        click.echo(f"p99 <= {found.target_ms:g} ms up to {found.rate_per_s:,.1f} requests/s, {state}")

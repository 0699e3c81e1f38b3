"""Make the plots of load tests that have axes: latency over rate, by percentile, and over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from pipelines.report import looks, numbers
from pipelines.results import Scenario

HEIGHT_PX = 300
TICKS = {"dtick": "D2", "tickformat": ","}
"""Ticks of a logarithmic axis, at 1, 2, 5, 10 and so on: two lines near each other may lie within one decade."""
LEAST_MS = 1e-4
"""Lower end of a logarithmic axis; no request is answered within 100 ns."""


@dataclass(frozen=True, slots=True)
class Load:
    """One load test to draw: its name, the number of its path, and whether it is in process (pale)."""

    name: str
    place: int
    scenario: Scenario
    pale: bool = False


def curve(loads: Sequence[Load]) -> dict[str, Any] | None:
    """Plot latency over rate, all loads in one plot (plotly's data and layout); None if no curve was measured."""
    data: list[dict[str, Any]] = []
    for load in loads:
        mark = looks.mark(looks.nth(load.place))
        for field, symbol, width in (("p50_ms", f"{mark}-open", 0.8), ("p99_ms", mark, 1.8)):
            points = [(one.rate_per_s, value) for one in load.scenario.curve if (value := getattr(one, field))]
            if points:
                what = f"{load.name}, {field.removesuffix('_ms')}"
                data.append(_line(load, what, points, "%{x:.4g}/s: %{y:.4g} ms", "lines+markers", symbol, width))
    if not data:
        return None
    rates = [x for line in data for x in line["x"]]
    many = max(rates) > 10 * min(rates)
    figure = _figure(data, "answers/s", "log" if many else "linear", "latency, ms")
    if many:
        figure["layout"]["xaxis"] |= TICKS
    return figure


def percentiles(loads: Sequence[Load]) -> dict[str, Any] | None:
    """Plot latency over 1/(1-p), both logarithmic; None if there is nothing to draw."""
    data = []
    for load in loads:
        points = [(at, max(value, LEAST_MS)) for at, value in load.scenario.latency.tail]
        if len(points) > 1:
            data.append(_line(load, load.name, points, "one of %{x:,.0f} is slower than %{y:.4g} ms"))
    if not data:
        return None
    figure = _figure(data, "percentile", "log", "latency, ms")
    highest = max(point for one in data for point in one["x"])
    ticks = [10.0**power for power in range(math.ceil(math.log10(highest)) + 1)]
    figure["layout"]["xaxis"] |= {"tickvals": ticks, "ticktext": [_percent(tick) for tick in ticks]}
    return figure


def timeline(loads: Sequence[Load]) -> dict[str, Any] | None:
    """Plot the largest latency of each time slice as a line, the median as a thin line, and errors as crosses."""
    data: list[dict[str, Any]] = []
    for load in loads:
        moments = load.scenario.latency.timeline
        for field, width in (("max_ms", 1.8), ("p50_ms", 0.8)):
            points = [(one.from_s, max(value, LEAST_MS)) for one in moments if (value := getattr(one, field))]
            if points:
                what = f"{load.name}, {'largest' if field == 'max_ms' else 'median'}"
                data.append(_line(load, what, points, "%{x:.4g} s: %{y:.4g} ms", width=width))
        errors = [(one.from_s, one.max_ms or LEAST_MS, one.errors) for one in moments if one.errors]
        if errors:
            cross = _line(load, load.name, [(at, value) for at, value, _ in errors], "", "markers", "x")
            cross["text"] = [f"{count:,} errors" for *_, count in errors]
            cross["hovertemplate"] = f"{_plain(load.name)}: %{{text}}<extra></extra>"
            cross["marker"] |= {"size": 9, "color": "var(--failed)"}
            data.append(cross)
    return _figure(data, "s from the start", "linear", "latency, ms") if data else None


def _line(
    load: Load,
    what: str,
    points: Sequence[tuple[float, float]],
    hover: str,
    mode: str = "lines",
    symbol: str = "circle",
    width: float = 1.8,
) -> dict[str, Any]:
    colour = looks.colour(load.place) + ("80" if load.pale else "")
    return {
        "type": "scatter",
        "mode": mode,
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "legendgroup": numbers.plain(load.name),
        "line": {"color": colour, "width": width},
        "marker": {"color": colour, "size": 7, "symbol": symbol},
        "hovertemplate": f"{_plain(what)}: {hover}<extra></extra>",
    }


def _figure(data: list[dict[str, Any]], x: str, scale: str, y: str) -> dict[str, Any]:
    axis = {
        "fixedrange": True,
        "zeroline": False,
        "gridcolor": "var(--grid)",
        "tickfont": {"color": "var(--muted)", "size": 11},
    }
    layout = {
        "height": HEIGHT_PX,
        "margin": {"l": 52, "r": 10, "t": 6, "b": 42, "pad": 0},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "var(--sans)", "size": 12, "color": "var(--ink)"},
        "hoverlabel": {"bgcolor": "var(--panel)", "bordercolor": "var(--rule)", "font": {"color": "var(--ink)"}},
        "showlegend": False,
        "dragmode": False,
        "xaxis": {**axis, "type": scale, "title": {"text": x, "font": {"size": 11}}},
        "yaxis": {**axis, "type": "log", "title": {"text": y, "font": {"size": 11}}, **TICKS},
    }
    return {"data": data, "layout": layout}


def _percent(inverse: float) -> str:
    """Format the percentile at 1/(1-p): 0, 90, 99, 99.9 ..."""
    return f"{100 * (1 - 1 / inverse):.10g} %"


def _plain(name: str) -> str:
    return escape(numbers.plain(name).replace("\n", " "), quote=False)

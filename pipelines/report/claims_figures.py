"""Draw the plots of claims: each kind of ``pipelines.claims.plots`` as a figure for plotly, or as a table.

Names are rows of text above their marks, values a column beside them, and places on an axis are numbered in the
picture and named in a list below: whatever the claims call their things, nothing overlaps on a phone.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.claims.plots import Bars, Dumbbells, Grid, Lines, Plot, Timeline
from pipelines.report import looks, numbers
from pipelines.report.figures import AXIS_PX, LABEL_CHARS, Figure, label_text, log_axis, rows_layout, upright

VALUES_PX = 136
"""Width of the column of values: 0.653 [0.621, 0.702]."""
SMALL_VALUE = 0.1
LINES_PX = 280
LEVEL_PX = 13
NEAREST = 0.06
"""The least distance of two numbers at one height, as a share of the axis: on a phone, 13 pixels."""
NAME_PX = 26
SECOND_LINE_PX = 14
BELOW_PX = 14
MOST_TICKS = 6
FINE_DECADES = 0.6
"""An axis shorter than this many decades has ticks at even steps: 1, 2 and 5 alone would leave one or two."""
DASHES = ("solid", "dashed", "dotted")
SMALL = {"size": 11, "color": "var(--ink)"}


@dataclass(frozen=True, slots=True)
class Place:
    """A numbered place in a picture: where it is, and what it is."""

    number: int
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plot to show: ``figure`` for plotly or ``grid`` for a table; ``note`` is the name of a text of the page.

    ``legend`` holds (colour, style of the line, name) of each curve; ``places`` what the numbers in the picture mean.
    """

    title: str = ""
    note: str = ""
    figure: Figure | None = None
    grid: Grid | None = None
    legend: tuple[tuple[str, str, str], ...] = ()
    places: tuple[Place, ...] = ()


def drawn(name: str, plot: Plot) -> Drawn:
    """Draw the plot of the claim with this id."""
    if isinstance(plot, Grid):
        return Drawn(grid=plot)
    return DRAW[type(plot)](name, plot)


def _dumbbells(name: str, plot: Dumbbells) -> Drawn:
    data: list[dict[str, Any]] = []
    for place, point in enumerate(plot.points):
        hover = label_text(f"{point.name}: {_value(point.value, point.low, point.high)}")
        if _positive(point.low, point.high):
            data.append(_stroke([point.low, point.high], place, 7 if not point.hollow else 3))
        if point.value > 0:
            data.append(_mark([point.value], place, "circle-open" if point.hollow else "circle", hover))
    ends = [end for point in plot.points for end in (point.low, point.value, point.high) if end is not None and end > 0]
    values = [_value(point.value, point.low, point.high) for point in plot.points]
    layout = _rows([point.name for point in plot.points], values)
    layout["xaxis"] |= _ratio_axis(min([*ends, plot.line]), max([*ends, plot.line]))
    layout["shapes"] = [upright(plot.line, "var(--ink)", "dash")]
    words = _said(plot.axis, [(point.name, value) for point, value in zip(plot.points, values, strict=True)])
    return Drawn(plot.axis, "plot-dumbbells", Figure(name, plot.axis, "", words, data, layout))


def _bars(name: str, plot: Bars) -> Drawn:
    values = {bar: value for bar, value in plot.values.items() if value > 0 or not plot.log}
    shown = [numbers.figures(value) for value in plot.values.values()]
    places = {bar: place for place, bar in enumerate(plot.values)}
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "x": list(values.values()),
            "y": [places[bar] for bar in values],
            "width": 0.3,
            "hovertemplate": "%{x:.4g}<extra></extra>",
            "marker": {"color": looks.colour(0)},
        }
    ]
    layout = _rows(list(plot.values), shown)
    if plot.log and values:
        low = 10 ** math.floor(math.log10(min(values.values())) - 0.1)
        layout["xaxis"] |= _log_axis(low, max(values.values()))
    else:
        layout["xaxis"] |= {
            "range": [min([0.0, *values.values()]), max([*values.values(), 0.0]) * 1.02 or 1],
            "nticks": 5,
        }
    words = _said(plot.axis, list(zip(plot.values, shown, strict=True)))
    note = "plot-bars-log" if plot.log else "plot-bars"
    return Drawn(plot.axis, note, Figure(name, plot.axis, "", words, data, layout))


def _lines(name: str, plot: Lines) -> Drawn:
    data: list[dict[str, Any]] = []
    legend = []
    for number, (curve, points) in enumerate(plot.series.items()):
        colour, style = looks.colour(number), DASHES[number // looks.COLOURS % len(DASHES)]
        legend.append((colour, style, curve))
        kept = [(x, y) for x, y in points if x > 0 or not plot.log_x]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(kept) <= 24 else "lines",
                "x": [x for x, _ in kept],
                "y": [y for _, y in kept],
                "line": {"color": colour, "width": 2, "dash": {"dashed": "dash", "dotted": "dot"}.get(style, style)},
                "marker": {"color": colour, "size": 7, "symbol": looks.mark(number)},
                "hovertemplate": f"{label_text(curve)}: %{{x:.4g}}, %{{y:.4g}}<extra></extra>",
            }
        )
    marks = sorted((x, mark) for mark, x in plot.marks.items() if x > 0 or not plot.log_x)
    along = math.log10 if plot.log_x else float
    every = [along(x) for line in data for x in line["x"]] + [along(x) for x, _ in marks]
    low, high = (min(every), max(every)) if every else (0.0, 1.0)
    span = high - low or 1.0
    levels = _levels([(along(x) - low) / span for x, _ in marks])
    top = 12 + LEVEL_PX * (1 + max(levels, default=-1))
    layout = rows_layout([], axis=True)
    layout |= {"height": LINES_PX + top, "margin": {"l": 50, "r": 12, "t": top, "b": 44, "pad": 0}}
    layout["xaxis"] |= {"title": {"text": label_text(plot.x), "font": {"size": 12}, "standoff": 8}}
    if plot.log_x:
        layout["xaxis"] |= _log_axis(10**low, 10**high)
    else:
        layout["xaxis"] |= {"range": [low - 0.03 * span, high + 0.03 * span], "nticks": 6}
    layout["yaxis"] = {**layout["xaxis"], "type": "linear", "nticks": 6, "rangemode": "tozero"}
    for unwanted in ("title", "range", "tickvals", "ticktext", "side"):
        layout["yaxis"].pop(unwanted, None)
    layout["shapes"] = [upright(x, "var(--muted)", "dot") for x, _ in marks]
    layout["annotations"] = [
        _number(number, along(x), {"yref": "paper", "y": 1, "yanchor": "bottom", "yshift": LEVEL_PX * level})
        for number, ((x, _), level) in enumerate(zip(marks, levels, strict=True), 1)
    ]
    places = tuple(Place(number, short(x), mark) for number, (x, mark) in enumerate(marks, 1))
    said = [(curve, f"{len(points)} points") for curve, points in plot.series.items()]
    said += [(place.what, place.where) for place in places]
    figure = Figure(name, plot.y, "", _said(f"{plot.y}, {plot.x}", said), data, layout)
    return Drawn(plot.y, "plot-lines" if marks else "", figure, legend=tuple(legend), places=places)


def _timeline(name: str, plot: Timeline) -> Drawn:
    tracks = list(dict.fromkeys([*plot.spans, *plot.events]))
    # (middle, begin, end or None, track, text), numbered by when they begin
    found: list[tuple[float, float, float | None, str, str]]
    found = [(at, at, None, track, text) for track, events in plot.events.items() for at, text in events]
    found += [((a + b) / 2, a, b, track, text) for track, spans in plot.spans.items() for a, b, text in spans]
    found.sort(key=lambda one: (one[1], one[2] is None))
    ends = [moment for one in found for moment in (one[1], one[2]) if moment is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    span = high - low or 1.0
    data, places, annotations, deepest = [], [], [], 0
    for row, track in enumerate(tracks):
        here = [(number, one) for number, one in enumerate(found, 1) if one[3] == track]
        levels = _levels([(one[0] - low) / span for _, one in here])
        for nth, ((number, (middle, begin, end, _, text)), level) in enumerate(zip(here, levels, strict=True)):
            where = f"{begin:.3g} s" if end is None else f"{begin:.3g}–{end:.3g} s"
            places.append(Place(number, where, f"{track}: {text}"))
            hover = label_text(f"{where}: {text}")
            data.append(
                _mark([begin], row, "line-ns", hover, "var(--failed)")
                if end is None
                else _span(begin, end, row, hover, nth)
            )
            annotations.append(_number(number, middle, {"y": row, "yshift": -16 - LEVEL_PX * level}))
            deepest = max(deepest, level)
    layout = _named(tracks, 26 + LEVEL_PX * deepest)
    layout |= {"annotations": layout["annotations"] + annotations, "barmode": "overlay"}
    layout["margin"] |= {"l": 12, "r": 12}
    layout["xaxis"] |= {"range": [low - 0.03 * span, high + 0.03 * span], "ticksuffix": " s", "nticks": 6}
    places.sort(key=lambda one: one.number)
    words = _said("", [(place.where, place.what) for place in places])
    return Drawn("", "plot-timeline", Figure(name, "", "", words, data, layout), places=tuple(places))


DRAW: dict[type[Any], Callable[[str, Any], Drawn]] = {
    Dumbbells: _dumbbells,
    Bars: _bars,
    Lines: _lines,
    Timeline: _timeline,
}


def _rows(names: Sequence[str], values: Sequence[str]) -> dict[str, Any]:
    """Make the layout of named rows with a column of values at the right."""
    layout = _named(names, BELOW_PX)
    layout["margin"] |= {"l": 10, "r": VALUES_PX}
    for place, value in enumerate(values):
        at = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 10, "y": place}
        layout["annotations"].append({"text": value, "showarrow": False, "align": "left", "font": SMALL, **at})
    return layout


def _named(names: Sequence[str], below: int) -> dict[str, Any]:
    """Make the layout of rows with their names above them, in two lines where they are long; ``below`` is in pixels."""
    wrapped = [textwrap.wrap(numbers.plain(name), LABEL_CHARS, max_lines=2, placeholder="…") or [""] for name in names]
    above = NAME_PX + SECOND_LINE_PX * (max(map(len, wrapped), default=1) - 1)
    row = above + below
    layout = rows_layout(names, axis=True)
    on_top = layout["xaxis"]["side"] == "top"
    layout["height"] = len(names) * row + AXIS_PX
    layout["margin"] |= {"t": AXIS_PX if on_top else 0, "b": 0 if on_top else AXIS_PX}
    layout["yaxis"]["range"] = [len(names) - above / row, -above / row]
    for annotation, parts in zip(layout["annotations"], wrapped, strict=True):
        annotation |= {"text": "<br>".join(map(label_text, parts)), "yanchor": "bottom", "yshift": 7}
    return layout


def _ratio_axis(low: float, high: float) -> dict[str, Any]:
    """Make a logarithmic axis for ratios, with even steps where it is short."""
    if math.log10(high / low) > FINE_DECADES:
        return _log_axis(low, high)
    room = max(0.05 * (high - low), 0.02 * high)
    low, high = low - room if low > room else low / 2, high + room
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in (1, 2, 5, 10) if nice * power >= rough)
    ticks = [count * step for count in range(math.ceil(low / step), math.floor(high / step) + 1)]
    text = [f"{tick:.{max(0, -math.floor(math.log10(step)))}f}" for tick in ticks]
    return {"type": "log", "range": [math.log10(low), math.log10(high)], "tickvals": ticks, "ticktext": text}


def _log_axis(low: float, high: float) -> dict[str, Any]:
    """Make a logarithmic axis whose ticks fit a phone: powers of ten where there would be many others."""
    axis = log_axis(low, high, lambda value: f"{value:,g}")
    whole = [tick for tick in axis["tickvals"] if math.isclose(math.log10(tick), round(math.log10(tick)), abs_tol=1e-9)]
    if len(axis["tickvals"]) > MOST_TICKS and len(whole) > 1:
        axis |= {"tickvals": whole, "ticktext": [f"{tick:,g}" for tick in whole]}
    return axis | {"tickangle": 0}


def _levels(places: Sequence[float]) -> list[int]:
    """Give each place along an axis (0 to 1) the lowest level at which its number meets no other one's."""
    taken: list[list[float]] = []
    found = []
    for place in places:
        level = next((n for n, row in enumerate(taken) if all(abs(place - one) >= NEAREST for one in row)), len(taken))
        if level == len(taken):
            taken.append([])
        taken[level].append(place)
        found.append(level)
    return found


def _number(number: int, x: float, at: dict[str, Any]) -> dict[str, Any]:
    return {"text": f"<b>{number}</b>", "x": x, "showarrow": False, "font": SMALL, "borderpad": 0, **at}


def _stroke(ends: Sequence[float | None], place: int, width: int) -> dict[str, Any]:
    line = {"color": looks.colour(0) + "80", "width": width}
    shape = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "cliponaxis": False}
    return {**shape, "x": list(ends), "y": [place, place], "line": line}


def _mark(x: list[float], place: int, symbol: str, hover: str, colour: str = "var(--c0)") -> dict[str, Any]:
    look = {"color": colour, "size": 12, "symbol": symbol, "line": {"width": 2.5, "color": colour}}
    shape = {"type": "scatter", "mode": "markers", "cliponaxis": False, "hovertemplate": f"{hover}<extra></extra>"}
    return {**shape, "x": x, "y": [place] * len(x), "marker": look}


def _span(begin: float, end: float, place: int, hover: str, nth: int) -> dict[str, Any]:
    look = {"color": looks.colour(nth % 2) + "90", "line": {"color": looks.colour(nth % 2), "width": 1}}
    shape = {"type": "bar", "orientation": "h", "width": 0.2, "hovertemplate": f"{hover}<extra></extra>"}
    return {**shape, "x": [end - begin], "base": [begin], "y": [place], "marker": look}


def _positive(*ends: float | None) -> bool:
    return all(end is not None and end > 0 for end in ends)


def _value(value: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return short(value)
    if high < SMALL_VALUE:  # a third figure would not fit into the column
        return f"{value:.2g} [{low:.2g}, {high:.2g}]"
    return f"{short(value)} [{short(low)}, {short(high)}]"


def short(value: float) -> str:
    """Write three figures without the zeros at their end."""
    return f"{value:.3g}" if abs(value) < 1_000 else numbers.figures(value)


def _said(title: str, rows: Sequence[tuple[str, str]]) -> str:
    said = "; ".join(f"{numbers.plain(name)}: {value}" for name, value in rows)
    return f"{title}. {said}" if title else said

"""Make the plots as plain dictionaries for plotly, without importing it.

Every figure is a list of rows of a fixed height: the name above, the mark below. It is as readable with sixty rows as
with four, and on a phone. Colours are ``var(--name)``, which the page replaces for its light or dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from pipelines.report import load_figures, looks, numbers
from pipelines.report.best import MANY, artifact_of, best
from pipelines.report.lines import Line, invalid_because
from pipelines.results import SERVED, ArtifactRow

ROW_PX = 40
AXIS_PX = 34
LABEL_CHARS = 46
DOUBT = "! "
"""Marks the name of a row whose load test is not valid."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One plot: ``data`` and ``layout`` are for plotly, ``label`` describes the picture in words."""

    id: str
    title: str
    note: str
    label: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    wide: bool = False


TALL = 12
"""The most rows of a plot whose axis is at the bottom: below more of them, it would be out of sight."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a plot: its name, the number of its path, and its mark."""

    name: str
    path: int
    value: float
    text: str
    hollow: bool = False


def path_places(found: Sequence[Line]) -> dict[str, int]:
    """Number the paths by first appearance; the number selects the colour and texture in every plot."""
    return {path: place for place, path in enumerate(dict.fromkeys(line.row.path for line in found))}


def figures(found: Sequence[Line]) -> list[Figure]:
    """Make the plots that have data; of many rows, they show the best of each artifact; lines are there of all rows."""
    everything, places = found, path_places(found)
    if len(found) > MANY:
        found = best(found, artifact_of)
    artifacts = list({id(line.artifact): line.artifact for line in found if line.artifact}.values())
    made = [
        _latency("server", "Server latency, ms", "Poisson arrivals at one rate for all rows", found, places),
        _latency("single-stream", "Single-stream latency, ms", "one request at a time", found, places),
        _row_bars("throughput", "Offline throughput, samples/s", "higher is better", found, places, _offline),
        _row_bars(
            "cpu",
            "CPU time a request, ms",
            "of the server, or of the process that predicts, one request at a time; other work hardly changes it",
            found,
            places,
            _server_cpu,
        ),
        _row_bars(
            "cold-start",
            "Cold start, s",
            "from the start of the process to its first answer; lower is better",
            found,
            places,
            lambda line: (line.row.cold_start_s, numbers.figures),
        ),
        _row_bars(
            "memory",
            "Peak memory, MB",
            "all processes of the server; lower is better",
            found,
            places,
            lambda line: (line.row.peak_memory_bytes, numbers.megabytes),
        ),
        _row_bars(
            "share",
            "Throughput against in-process, %",
            "offline; the share of the runtime's speed that is left when served",
            found,
            places,
            lambda line: (line.row.share_of_in_process, numbers.whole_percent),
        ),
        _size(artifacts, places),
        _parity(artifacts, places),
        _accuracy(artifacts, places),
    ]
    return [figure for figure in [*made, *_loads(everything, places)] if figure]


def _loads(found: Sequence[Line], places: dict[str, int]) -> list[Figure]:
    """Make the plots of the server scenario that have axes."""
    loads = [
        load_figures.Load(line.name, places[line.row.path], scenario, line.row.where != SERVED)
        for line in found
        if (scenario := line.scenario("server"))
    ]
    return axis_figures(loads)


def axis_figures(loads: Sequence[load_figures.Load]) -> list[Figure]:
    """Plot latency over rate, by percentile, and over time; plots without data are left out.

    Each line has its row's name as ``legendgroup``: the page draws those that are ticked.
    """
    names = "the rows that are ticked" if len(loads) > 1 else "".join(numbers.plain(load.name) for load in loads)
    made = []
    for name, title, note, draw in (
        (
            "curve",
            "Latency over throughput",
            "p50 hollow, p99 filled if there are enough requests; log scale",
            load_figures.curve,
        ),
        ("tail", "Latency percentiles", "one line each; both scales logarithmic", load_figures.percentiles),
        (
            "timeline",
            "Latency over time",
            "thick: largest of each time slice; thin: median; crosses: failed requests; log scale",
            load_figures.timeline,
        ),
    ):
        drawn = draw(loads)
        if drawn is not None:
            wide = name == "curve"
            said = f"{title} of {names}."
            made.append(Figure(name, f"{title}, ms", note, said, drawn["data"], drawn["layout"], wide))
    return made


def _offline(line: Line) -> tuple[float | None, Callable[[float], str]]:
    scenario = line.scenario("offline")
    return (scenario.load.samples_per_s if scenario else None), numbers.figures


def _server_cpu(line: Line) -> tuple[float | None, Callable[[float], str]]:
    scenario = line.scenario("single-stream")
    return (scenario.server.cpu_ms_per_request if scenario else None), numbers.figures


def _row_bars(
    figure_id: str,
    title: str,
    note: str,
    found: Sequence[Line],
    places: dict[str, int],
    read: Callable[[Line], tuple[float | None, Callable[[float], str]]],
) -> Figure | None:
    bars = []
    for line in found:
        value, text = read(line)
        if value is not None:
            doubt = DOUBT if figure_id == "throughput" and invalid_because(line.scenario("offline")) else ""
            hollow = line.row.where != SERVED
            bars.append(Bar(doubt + line.name, places[line.row.path], value, text(value), hollow=hollow))
    return _bars(figure_id, title, note, bars)


def _size(artifacts: Sequence[ArtifactRow], places: dict[str, int]) -> Figure | None:
    bars = [
        Bar(f"{one.path} {one.variant}", places[one.path], one.size_bytes, numbers.megabytes(one.size_bytes))
        for one in artifacts
        if one.size_bytes is not None
    ]
    return _bars("size", "Artifact size, MB", "the payload as it ships; lower is better", bars)


def _bars(figure_id: str, title: str, note: str, bars: Sequence[Bar]) -> Figure | None:
    """Plot horizontal bars from zero; each shows its value at its end, so there is no axis."""
    if not bars:
        return None
    top = max(bar.value for bar in bars) or 1.0
    data = {
        "type": "bar",
        "orientation": "h",
        "x": [bar.value for bar in bars],
        "y": list(range(len(bars))),
        "width": 0.28,
        "text": [bar.text for bar in bars],
        "textposition": "outside",
        "constraintext": "none",
        "textfont": {"size": 11.5},
        "cliponaxis": False,
        "customdata": [label_text(bar.name) for bar in bars],
        "hovertemplate": "%{customdata}: <b>%{text}</b><extra></extra>",
        "marker": {
            "color": [looks.colour(bar.path) + ("30" if bar.hollow else "") for bar in bars],
            "line": {"color": [looks.colour(bar.path) for bar in bars], "width": 1.2},
            "pattern": {"shape": [looks.texture(bar.path) for bar in bars], "size": 5},
        },
    }
    layout = rows_layout([bar.name for bar in bars], axis=False)
    layout["xaxis"] |= {"range": [0, top * 1.2], "visible": False}
    layout["shapes"] = [upright(0, "var(--rule)", "solid")]
    return Figure(figure_id, title, note, _label(title, [(bar.name, bar.text) for bar in bars]), [data], layout)


def _latency(scenario: str, title: str, note: str, found: Sequence[Line], places: dict[str, int]) -> Figure | None:
    """Plot a box for each row: 25 to 75 %, whiskers from 1 to 99 %, the largest as a dot."""
    loads = [(line, load) for line in found if (load := line.scenario(scenario))]
    rows = [(line, load) for line, load in loads if len(load.latency.quantiles_ms) > 1]
    if not rows:
        return None
    data: list[dict[str, Any]] = []
    names, words, low, high = [], [], math.inf, -math.inf
    for place, (line, load) in enumerate(rows):
        at = [max(value, 1e-4) for value in load.latency.quantiles_ms]
        q1, q25, q50, q75, q99, largest = (at[round(q * (len(at) - 1))] for q in (0.01, 0.25, 0.5, 0.75, 0.99, 1.0))
        low, high = min(low, q1), max(high, largest)
        names.append((DOUBT if invalid_because(load) else "") + line.name)
        words.append((line.name, f"median {numbers.figures(q50)} ms"))
        colour = looks.colour(places[line.row.path])
        data.append(
            {
                "type": "box",
                "orientation": "h",
                "y": [place],
                "lowerfence": [q1],
                "q1": [q25],
                "median": [q50],
                "q3": [q75],
                "upperfence": [q99],
                "width": 0.3,
                "whiskerwidth": 0.6,
                "line": {"color": colour, "width": 1.6},
                "fillcolor": colour + ("90" if line.row.where == SERVED else "20"),
                "hoverinfo": "skip",
            }
        )
        hover = (
            f"median {numbers.figures(q50)} ms, 99 % {numbers.figures(q99)} ms, largest {numbers.figures(largest)} ms"
        )
        data.append(_points([largest, q50], place, colour, [6, 12], f"{label_text(line.name)}: {hover}", [1, 0]))
    layout = rows_layout(names, axis=True)
    layout["xaxis"] |= log_axis(low, high, lambda value: f"{value:,g}")
    if any(invalid_because(load) for _, load in rows):
        note = f"{note}; {DOUBT}load test not valid"
    note = f"{note}; box 25 to 75 %, line median, whiskers 1 to 99 %, dot the largest; log scale"
    return Figure(f"latency-{scenario}", title, note, _label(title, words), data, layout)


def _parity(artifacts: Sequence[ArtifactRow], places: dict[str, int]) -> Figure | None:
    """Plot the signal-to-quantisation-noise ratio and its floor; a mark at the right end: nothing differs."""
    rows = [(one, one.certificate) for one in artifacts if one.certificate]
    if not rows:
        return None
    seen = [value for _, proof in rows for value in (proof.sqnr_db, proof.min_sqnr_db) if value is not None]
    high = max([100.0, *seen]) + 10
    data, words = [], []
    for place, (one, proof) in enumerate(rows):
        verdict = "passed" if proof.passed else "FAILED"
        ratio = "no difference" if proof.sqnr_db is None else f"{proof.sqnr_db:.1f} dB"
        floor = "" if proof.min_sqnr_db is None else f", at least {proof.min_sqnr_db:g} dB"
        said = f"{ratio}{floor}, largest difference {numbers.scientific(proof.max_abs)}, {verdict}"
        words.append((f"{one.path} {one.variant}", said))
        hover = f"{label_text(one.path)} {label_text(one.variant)}: {said}"
        x = high if proof.sqnr_db is None else max(proof.sqnr_db, 0.0)
        colour, symbol = looks.colour(places[one.path]), "circle" if proof.passed else "x"
        data.append(_points([x], place, colour, [11], hover, [1], [symbol]))
        if proof.min_sqnr_db is not None:
            data.append(_points([proof.min_sqnr_db], place, "var(--ink)", [15], hover, [1], ["line-ns-open"]))
    names = [f"{one.path} {one.variant}" + ("" if proof.passed else " (failed)") for one, proof in rows]
    layout = rows_layout(names, axis=True)
    layout["xaxis"] |= {"range": [-2, high + 2], "ticksuffix": " dB"}
    note = (
        "the reference's outputs to the differences from them (dot, cross if failed; further right is nearer: 20 dB "
        "are a tenth), the least that passes (stroke)"
    )
    return Figure("parity", "Parity, signal to quantisation noise", note, _label("Parity", words), data, layout)


def _accuracy(artifacts: Sequence[ArtifactRow], places: dict[str, int]) -> Figure | None:
    rows = [
        (one, one.certificate, one.certificate.top1)
        for one in artifacts
        if one.certificate and one.certificate.top1 is not None
    ]
    if not rows:
        return None
    data, words, low = [], [], 100.0
    references = set()
    for place, (one, proof, top1) in enumerate(rows):
        colour = looks.colour(places[one.path])
        said = f"top-1 agreement {numbers.percent(top1)} %"
        points, symbols = [top1 * 100], ["circle"]
        if proof.accuracy is not None:
            points.append(proof.accuracy * 100)
            symbols.append("diamond-open")
            said += f", accuracy {numbers.percent(proof.accuracy)} %"
        if proof.reference_accuracy is not None:
            references.add(proof.reference_accuracy * 100)
        low = min([low, *points])
        words.append((f"{one.path} {one.variant}", said))
        hover = f"{label_text(one.path)} {label_text(one.variant)}: {said}"
        data.append(_points(points, place, colour, [11] * len(points), hover, [1] * len(points), symbols))
    low = min([low, *references])
    layout = rows_layout([f"{one.path} {one.variant}" for one, _, _ in rows], axis=True)
    span = max(100 - low, 0.1)
    layout["xaxis"] |= {"range": [low - span * 0.12, 100 + span * 0.06], "nticks": 5, "ticksuffix": " %"}
    layout["shapes"] = [upright(value, "var(--muted)", "dot") for value in sorted(references)]
    note = "same top class as the reference (dot), accuracy on the evaluation set (diamond), reference's (dotted)"
    return Figure("accuracy", "Top-1 agreement and accuracy, %", note, _label("Agreement", words), data, layout)


def _points(
    x: list[float],
    place: int,
    colour: str,
    sizes: list[int],
    hover: str,
    opacity: list[int],
    symbols: list[str] | None = None,
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": [place] * len(x),
        "cliponaxis": False,
        "hovertemplate": hover + "<extra></extra>",
        "marker": {
            "color": colour,
            "size": sizes,
            "opacity": opacity,
            "symbol": symbols or ["circle"] * len(x),
            "line": {"width": 2, "color": colour},
        },
    }


def rows_layout(names: Sequence[str], *, axis: bool) -> dict[str, Any]:
    """Make the layout that all figures share: rows from top to bottom, each name above its mark."""
    rows = len(names)
    on_top = axis and rows > TALL
    return {
        "height": rows * ROW_PX + (AXIS_PX if axis else 8),
        "margin": {"l": 4, "r": 8, "t": AXIS_PX if on_top else 0, "b": AXIS_PX if axis and not on_top else 8, "pad": 0},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "var(--sans)", "size": 12, "color": "var(--ink)"},
        "hoverlabel": {"bgcolor": "var(--panel)", "bordercolor": "var(--rule)", "font": {"color": "var(--ink)"}},
        "showlegend": False,
        "dragmode": False,
        "xaxis": {
            "fixedrange": True,
            "zeroline": False,
            "gridcolor": "var(--grid)",
            "tickfont": {"color": "var(--muted)", "size": 11},
            "side": "top" if on_top else "bottom",
        },
        "yaxis": {"range": [rows - 0.36, -0.64], "fixedrange": True, "visible": False},
        "annotations": [
            {
                "text": label_text(name),
                "x": 0,
                "xref": "paper",
                "xanchor": "left",
                "xshift": -2,
                "y": place,
                "yshift": 15,
                "showarrow": False,
                "align": "left",
                "bgcolor": "var(--panel)",
                "borderpad": 0,
                "font": {"size": 11.5, "color": "var(--muted)"},
            }
            for place, name in enumerate(names)
        ],
    }


def log_axis(low: float, high: float, text: Callable[[float], str]) -> dict[str, Any]:
    """Make a log axis with few ticks: 1, 2, 5 within three decades, else powers of ten, about seven at most."""
    start, end = math.log10(low), math.log10(high)
    start, end = start - 0.04 * (end - start) - 0.01, end + 0.04 * (end - start) + 0.01
    steps = (1, 2, 5) if end - start < 3 else (1,)
    stride = max(1, math.ceil((end - start) / 6))
    ticks = [
        step * 10.0**power
        for power in range(math.floor(start), math.ceil(end) + 1)
        for step in steps
        if power % stride == 0 and start <= math.log10(step * 10.0**power) <= end
    ]
    return {
        "type": "log",
        "range": [start, end],
        "tickvals": ticks,
        "ticktext": [text(tick) for tick in ticks],
    }


def upright(x: float, colour: str, dash: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1.2, "dash": dash}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "layer": "below", "line": line}


def label_text(name: str) -> str:
    """Escape foreign text, since plotly interprets some HTML, and shorten it to fit a phone."""
    return escape(numbers.shortened(numbers.plain(name).replace("\n", " "), LABEL_CHARS), quote=False)


def _label(title: str, words: Sequence[tuple[str, str]]) -> str:
    return f"{title}. " + "; ".join(f"{numbers.plain(name)}: {said}" for name, said in words) + "."

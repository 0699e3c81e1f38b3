"""Write the HTML page of a single load test, with its plots."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.files import write_bytes
from pipelines.report import figures, numbers
from pipelines.report.html_face import HERE, for_plotly, policy
from pipelines.report.lines import unclaimable
from pipelines.report.load_figures import Load

if TYPE_CHECKING:
    from pipelines.loadtest.standalone.repetitions import Result


def write(url: str, result: Result, path: Path) -> None:
    """Write the page, never in part. Raises OSError."""
    write_bytes(path, render(url, result).encode("utf-8", "replace"))


def render(url: str, result: Result) -> str:
    """Render the page as text; it fetches nothing, and all text is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["plain"] = lambda text: numbers.plain(str(text))
    one = result.whole
    plots = figures.axis_figures([Load(url, 0, one)])
    scripts = [get_plotlyjs()] if plots else []
    scripts.append((HERE / "page.js").read_text("utf-8"))
    shown = (
        (one.load.rate_per_s, "answers/s"),
        (one.latency.p50_ms, "ms p50"),
        (one.latency.p99_ms, "ms p99"),
        (one.latency.max_ms, "ms max"),
        (one.load.requests, "requests"),
        (one.load.errors, "errors"),
        (one.generator.send_lag_p99_us, "µs send lag p99"),
    )
    return environment.get_template("load_page.html").render(
        url=url,
        one=one,
        started=datetime.fromtimestamp(result.started, UTC).isoformat(" ", "seconds"),
        facts=[(numbers.figures(value) if value is not None else numbers.DASH, unit) for value, unit in shown],
        notes=[*unclaimable(one).values(), *one.load.error_examples, *result.notes],
        figures=plots,
        figure_data=[for_plotly(figure) for figure in plots],
        css=Markup((HERE / "page.css").read_text("utf-8")),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        policy=policy(scripts),
    )

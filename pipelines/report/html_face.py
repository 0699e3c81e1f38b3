"""Write ``report.html``: one file that shows everything and loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.base.files import write_bytes
from pipelines.claims import CLAIMS, claim_module
from pipelines.claims.texts import catalogue
from pipelines.report import browser_lines, fairness_view, figures, looks, numbers, views
from pipelines.report.best import MANY, best, leaders, path_of
from pipelines.report.container_lines import CONTAINER_COLUMNS, container_lines
from pipelines.report.cost_lines import NOTE, TITLE, cost_columns, cost_lines, cost_notes
from pipelines.report.lines import Line, columns, lines, troubles
from pipelines.results import Report

HERE = Path(__file__).parent
CLAIMS_PAGE = "../../claims/claims.html"
"""Where ``slipway claims report`` writes the page of the claims, seen from ``reports/MODEL/TIMESTAMP``."""


def write(report: Report, path: Path) -> None:
    """Write the page, never in part. Raises OSError."""
    write_bytes(path, render(report).encode("utf-8", "replace"))


def render(report: Report) -> str:
    """Render the page as text. All text of the report is escaped, because it may come from anywhere.

    The page fetches nothing: its Content-Security-Policy forbids every address, and every script except the two
    whose hashes it names.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "plain": lambda text: numbers.plain(str(text)),
        "mb": numbers.megabytes,
        "contents": numbers.contents,
        "figures": numbers.figures,
        "percent": numbers.percent,
        "scientific": numbers.scientific,
        "count": numbers.count,
        "duration": numbers.duration,
    }
    found = lines(report)
    costs = cost_lines(report)
    contained = container_lines(report)
    in_container = [line for line in contained if line.container]
    plots = figures.figures(found)
    winner = next((line for line in found if line.name == report.recommendation.row), None)
    leads = _leads(found, winner)
    table = _folded(found, winner, leads)
    drawn = {trace["legendgroup"] for figure in plots for trace in figure.data if "legendgroup" in trace}
    choices = [line for line in table if numbers.plain(line.name) in drawn]
    first = leaders(choices, winner)
    # Plotly's script is 4.8 MB: a report without plots does not include it.
    scripts = [get_plotlyjs()] if plots else []
    scripts.append((HERE / "page.js").read_text("utf-8"))
    return environment.get_template("page.html").render(
        report=report,
        lines=found,
        table=table,
        leads=leads,
        choices=[*first, *(line for line in choices if line not in first)],
        leaders={line.name for line in first},
        first_lines=next((figure.id for figure in plots if any("legendgroup" in one for one in figure.data)), None),
        dashes=looks.DASHES,
        is_long=len(found) > MANY,
        rounds=max((line.row.rounds for line in found), default=1),
        places=figures.path_places(found),
        colours=looks.COLOURS,
        texture=looks.nth,
        columns=columns(report),
        groups=views.key_groups(columns(report)),
        key_cells=views.key_cells,
        troubles=troubles(report),
        trouble_of=_trouble_of(report),
        statuses=[(status, sum(line.row.status == status for line in found)) for status in ("ok", "failed", "skipped")],
        contained=contained,
        container_columns=CONTAINER_COLUMNS,
        container_groups=views.key_groups(CONTAINER_COLUMNS),
        in_browser=browser_lines.browser_lines(found),
        browser_columns=browser_lines.BROWSER_COLUMNS,
        browser_groups=views.key_groups(browser_lines.BROWSER_COLUMNS),
        browser_title=browser_lines.TITLE,
        browser_note=browser_lines.NOTE,
        costs=costs,
        cost_columns=cost_columns(costs),
        cost_groups=views.key_groups(cost_columns(costs)),
        cost_notes=cost_notes(costs),
        cost_title=TITLE,
        cost_caption=NOTE,
        loads=views.load_tables(table),
        noise=fairness_view.banner(report),
        fairness=fairness_view.sentences(report),
        checks=fairness_view.check_rows(report.fairness.checks) if report.fairness else [],
        threads=fairness_view.thread_rows(report, [*table, *in_container]),
        thread_columns=fairness_view.COLUMNS,
        verdict_styles={"kept": "ok", "breach": "failed", "not seen": "skipped"},
        parity=views.parity_rows(report),
        parity_headers=[column.header for column in views.parity_columns(report)],
        claims=claims_on_runs(),
        claims_page=CLAIMS_PAGE,
        figures=plots,
        figure_data=[for_plotly(figure) for figure in plots],
        css=Markup((HERE / "page.css").read_text("utf-8")),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        policy=policy(scripts),
    )


def _leads(found: Sequence[Line], winner: Line | None) -> set[str]:
    """Name the best row of each path; of the winner's path, it is the winner."""
    return {winner.name if winner and winner.row.path == line.row.path else line.name for line in best(found, path_of)}


def _folded(found: Sequence[Line], winner: Line | None, leads: set[str]) -> list[Line]:
    """Order lines by path, the winner's first; of each path, its best row first."""
    places = figures.path_places(found)
    first = winner.row.path if winner else None
    return sorted(found, key=lambda line: (line.row.path != first, places[line.row.path], line.name not in leads))


def _trouble_of(report: Report) -> dict[str, int]:
    """Map the name of each failed or skipped row to the number of its reason."""
    return {name: place for place, trouble in enumerate(troubles(report)) for name in trouble.names}


def claims_on_runs() -> dict[str, str]:
    """Return the sentences, by id, of the claims that are computed from the newest runs.

    They stand in the page of every run, whether or not the claims were measured: that may happen later.
    """
    return {name: catalogue()[name].sentence.en for name in CLAIMS if claim_module(name).CLAIM.reads_runs}


def for_plotly(figure: figures.Figure) -> dict[str, Any]:
    return {name: value for name, value in asdict(figure).items() if name in ("id", "data", "layout")}


def policy(scripts: list[str]) -> str:
    """Make a Content-Security-Policy (W3C, level 3) that allows only inline styles and these scripts."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    sources = " ".join(f"'sha256-{one}'" for one in hashes)
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {sources}"

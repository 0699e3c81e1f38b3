"""The files of the page, the plot library that the report has, and the reports that the page links to."""

from __future__ import annotations

import asyncio
import html
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path
from string import Template

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pipelines.artifacts.named import models_in
from pipelines.artifacts.workspace import Workspace

PAGE = Path(__file__).parent / "page"
REPORT_STYLE = Path(__file__).parent.parent / "report" / "page.css"
KINDS = {".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}
RUN = re.compile(r"latest|\d{8}T\d{6}Z(-\d+)?")
META = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">')


def index(csrf: str, title: str) -> HTMLResponse:
    """Return the page, with the token that its scripts send."""
    text = (PAGE / "index.html").read_text("utf-8")
    values = {"csrf": csrf, "title": title, "plotly": version("plotly")}
    return HTMLResponse(Template(text).substitute({name: html.escape(value) for name, value in values.items()}))


async def page_file(request: Request) -> Response:
    """Serve a script, or the style sheet: the report's, and what this page has besides."""
    name = Path(request.path_params["name"])
    kind = KINDS.get(name.suffix)
    if kind is None or str(name) not in {file.name for file in PAGE.iterdir()}:
        raise HTTPException(404)
    text = (PAGE / name).read_text("utf-8")
    if name.suffix == ".css":
        text = REPORT_STYLE.read_text("utf-8") + text
    return Response(text, media_type=kind)


async def plot_library(_: Request) -> Response:
    """Serve plotly.js; its address has its version, so that a browser keeps it."""
    return Response(await asyncio.to_thread(_plotly), media_type="text/javascript", headers=FOR_EVER)


@cache
def _plotly() -> bytes:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).encode()


def links(workspace: Workspace, model: str) -> dict[str, str]:
    """Return the addresses of the newest report of a model, and of the page of the claims, as far as there are any."""
    found = {
        "report": (workspace.reports(model) / "latest" / "report.html", f"/reports/{model}/latest/report.html"),
        "claims": (workspace.reports("claims") / "claims.html", "/reports/claims/claims.html"),
    }
    return {name: address for name, (file, address) in found.items() if file.is_file()}


def report(workspace: Workspace, parts: list[str]) -> Response:
    """Serve one report, or the page of the claims. Raises HTTPException for any other file."""
    match parts:
        case ["claims", "claims.html"]:
            file = workspace.reports("claims") / "claims.html"
        case [model, run, "report.html"] if model in models_in(workspace) and RUN.fullmatch(run):
            file = workspace.reports(model) / run / "report.html"
        case _:
            raise HTTPException(404)
    if not file.is_file():
        raise HTTPException(404)
    text = file.read_text("utf-8")
    # The page names the hashes of its own scripts, and nothing else may run.
    found = META.search(text)
    policy = html.unescape(found[1]) if found else "default-src 'none'"
    closed = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return HTMLResponse(text, headers={"content-security-policy": f"{policy}; {closed}"})

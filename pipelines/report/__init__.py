"""Write a report: as JSON for programs, as HTML and in the terminal for people. Each format has its own file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.results import Report


def write_all(report: Report, folder: Path) -> dict[str, Path]:
    """Write ``report.json`` and ``report.html`` into ``folder`` (made if missing); return {format: file}.

    The JSON is written first: it holds all results, and the page can be made from it again. No file is ever
    written in part. Raises SlipwayError if a value cannot be written.
    """
    from pipelines.report.html_face import write as write_html
    from pipelines.report.json_face import write as write_json

    folder.mkdir(parents=True, exist_ok=True)
    paths = {"json": folder / "report.json", "html": folder / "report.html"}
    write_json(report, paths["json"])
    write_html(report, paths["html"])
    return paths

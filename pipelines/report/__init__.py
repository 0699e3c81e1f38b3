"""The faces of a report, one file a face: JSON for programs, HTML and the terminal for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.results import Report


def write_all(report: Report, folder: Path) -> dict[str, Path]:
    """Write ``report.json`` and ``report.html`` into ``folder`` (made if missing); {face: file}.

    The JSON goes first: it is what a run learned, and the page can be made from it again. Each
    file appears whole or not at all. Raises SlipwayError where a value cannot be written.
    """
    from pipelines.report.html_face import write as write_html
    from pipelines.report.json_face import write as write_json

    folder.mkdir(parents=True, exist_ok=True)
    paths = {"json": folder / "report.json", "html": folder / "report.html"}
    write_json(report, paths["json"])
    write_html(report, paths["html"])
    return paths

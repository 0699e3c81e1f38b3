"""Tell apart what a page costs whoever opens it: the download, loading, the first prediction, and those after it."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.report import numbers
from pipelines.report.lines import Column, Line, load_column
from pipelines.results import IN_BROWSER

TITLE = "In a browser"
NOTE = (
    "By the page's own clock, from a site on this machine: a network adds the time of the download, which is not "
    "compressed here. Loading runs from the page's request until the model can be asked. The page's memory is what the "
    "browser counts; all of the browser's processes are in the key figures."
)


def browser_lines(found: Sequence[Line]) -> list[Line]:
    """List the rows that were measured in a browser."""
    return [line for line in found if line.row.where == IN_BROWSER]


BROWSER_COLUMNS: Sequence[Column] = (
    Column("page", "Download", "MB", lambda line: line.row.download_bytes, numbers.megabytes),
    Column("page", "Load", "s", lambda line: line.row.load_s, numbers.figures),
    Column("page", "First run", "s", lambda line: line.row.first_call_s, numbers.figures),
    Column("page", "Memory", "MB", lambda line: line.row.page_memory_bytes, numbers.megabytes),
    load_column("single-stream", "p50", "ms", "latency.p50_ms"),
    load_column("single-stream", "p99", "ms", "latency.p99_ms"),
)

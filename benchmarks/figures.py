"""Writes the tables of README.md and docs/ from results/: ``python benchmarks/figures.py [--check]``.

Each table stands on one page, between ``<!-- figures:NAME -->`` and ``<!-- /figures -->``. With ``--check`` nothing
is written; exit code 1 means that a page does not show the measured figures.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tables.claims import claims_ledger, claims_summary
from tables.load import loadtest_table
from tables.main_job import cost_table, rows_table, summary_table
from tables.models import own_models_table, real_model_table, sessions_table
from tables.serving import bodies_table, containers_table, protocol_cost_table, tf_serving_table
from tables.web import web_table

HERE = Path(__file__).parent
PAGES = [HERE.parent / "README.md", *sorted((HERE.parent / "docs").glob("*.md"))]

TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "summary": ("main_job.json", summary_table),
    "rows": ("main_job.json", rows_table),
    "cost": ("main_job.json", cost_table),
    "tf-serving": ("tf_serving.json", tf_serving_table),
    "bodies": ("bodies.json", bodies_table),
    "containers": ("containers.json", containers_table),
    "loadtest": ("loadtest.json", loadtest_table),
    "claims": ("claims.json", claims_summary),
    "claims-ledger": ("claims.json", claims_ledger),
    "protocol-cost": ("protocol_cost.json", protocol_cost_table),
    "web": ("web.json", web_table),
    "sessions": ("sessions.json", sessions_table),
    "efficientnet_lite0": ("real_models.json", real_model_table("efficientnet_lite0")),
    "minilm": ("real_models.json", real_model_table("minilm")),
    "own-models": ("own_models.json", own_models_table),
}
"""Maps a table's name to the results that it shows, and the function that shows them."""

_MARKED = re.compile(r"(?<=<!-- figures:)([\w-]+)( -->\n).*?(?=<!-- /figures -->)", re.DOTALL)


def filled(text: str) -> str:
    """Fills a page's tables with the measured figures. Raises KeyError for a table with an unknown name."""

    def table(found: re.Match[str]) -> str:
        name, end = found.groups()
        source, show = TABLES[name]
        return f"{name}{end}{show(json.loads((HERE / 'results' / source).read_text()))}\n"

    return _MARKED.sub(table, text)


def main() -> None:
    pages = {page: page.read_text() for page in PAGES}
    shown = sorted(name for text in pages.values() for name, _ in _MARKED.findall(text))
    if shown != sorted(TABLES):
        raise SystemExit(f"README.md and docs/ should show each table once: {sorted(TABLES)}. Found: {shown}")
    stale = {page: new for page, old in pages.items() if (new := filled(old)) != old}
    if "--check" in sys.argv[1:]:
        names = ", ".join(page.name for page in stale)
        sys.exit(f"not the figures of benchmarks/results: {names}; run: make figures" if stale else 0)
    for page, new in stale.items():
        page.write_text(new)


if __name__ == "__main__":
    main()

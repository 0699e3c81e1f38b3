"""The table of runtimes in a browser."""

from __future__ import annotations

import statistics
from typing import Any

from tables.words import number


def web_table(results: dict[str, Any]) -> str:
    """Returns what the page of ``slipway web`` takes, beside what it is to reach."""

    def middle(values: list[float]) -> str:
        return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"

    lags = {
        name: [one["p99_us"] for one in rounds if one["p99_us"] is not None]
        for name, rounds in results["send_lag"].items()
    }
    adds = list(results["page_adds_ms"].values())
    machine = results["machine"]
    lines = [
        "| what | measured | to reach |",
        "|---|--:|--:|",
        f"| first paint, ms | {middle(results['opens']['first_paint_ms'])} | 1,000 |",
        f"| interactive, ms | {middle(results['opens']['interactive_ms'])} | 2,000 |",
        f"| the page adds to a call, ms, median of each protocol | {number(min(adds))} to {number(max(adds))} | 2 |",
        f"| send lag p99 of the load generator, us, nobody looks | {middle(lags['alone'])} | |",
        f"| the same, somebody looks at the live figures | {middle(lags['looking'])} | no more |",
        "",
        f"Medians (and extremes) of {len(lags['alone'])} rounds by `{results['command']}` "
        f"on {results['measured'][:10]}: "
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}.",
    ]
    return "\n".join(lines)

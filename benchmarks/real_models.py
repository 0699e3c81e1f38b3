"""Measures every path of the two larger models; writes results/real_models.json.

    python benchmarks/real_models.py [--model efficientnet_lite0 minilm] [--path PATH ...] [--duration 2]
        [--workspace FOLDER] [--last]

One ``slipway run MODEL --duration SECONDS`` of each model, in a workspace that may hold artifacts already. With
``--path``, a run of these paths alone, whose figures replace theirs in the results; ``--last`` measures nothing, and
reads the workspace's last report of each model.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipelines.paths import PATHS

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "real_models.json"
MODELS = ("efficientnet_lite0", "minilm")
SLIPWAY = [sys.executable, "-m", "pipelines"]


def scenario(row: dict[str, Any], name: str, part: str, figure: str) -> Any:
    """Returns one figure of a row's load test; None if it was not measured."""
    return next((one[part][figure] for one in row["scenarios"] if one["name"] == name), None)


def artifact_figures(artifact: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns what a report says of one artifact: by itself, and behind the protocol that gives the most throughput."""
    own = [row for row in rows if (row["path"], row["variant"]) == (artifact["path"], artifact["variant"])]
    (alone,) = (row for row in own if row["where"] != "served")
    served = [row for row in own if row["where"] == "served"]
    best = max(served, key=lambda row: scenario(row, "offline", "load", "samples_per_s") or 0.0, default=None)
    certificate, reasons = artifact["certificate"], [artifact["reason"], *(row["reason"] for row in own)]
    return {
        "name": f"{artifact['path']}:{artifact['variant']}",
        "status": sorted({artifact["status"], *(row["status"] for row in own)}),
        "failed": [row["protocol"] or row["where"] for row in own if row["status"] == "failed"],
        "reason": next((reason.splitlines()[0] for reason in reasons if reason), None),
        "size_bytes": artifact["size_bytes"],
        "sqnr_db": certificate and certificate["sqnr_db"],
        "top1": certificate and certificate["top1"],
        "cosine": certificate and certificate["cosine"],
        "made_s": sum(usage["wall_s"] for usage in (artifact["package"], artifact["verify"]) if usage) or None,
        "where": alone["where"],
        "cpu_ms": scenario(alone, "single-stream", "server", "cpu_ms_per_request"),
        "p50_ms": scenario(alone, "single-stream", "latency", "p50_ms"),
        "offline_per_s": scenario(alone, "offline", "load", "samples_per_s"),
        "served_by": best and best["protocol"],
        "served_offline_per_s": best and scenario(best, "offline", "load", "samples_per_s"),
        "share_of_in_process": best and best["share_of_in_process"],
        "disturbed": [row["protocol"] or row["where"] for row in own if row["measurement"] == "disturbed"],
    }


def of_model(model: str, paths: list[str], workspace: Path, duration: float, last: bool) -> dict[str, Any]:
    """Runs a model, unless only its last report is wanted; returns the report's figures."""
    here = ["--workspace", str(workspace)]
    if not last:
        words = ["run", model, *paths, "--duration", str(duration)]
        done = subprocess.run([*SLIPWAY, *here, *words], cwd=ROOT, check=False)
        if done.returncode not in (0, 1):  # 1: a row failed, and the table says which
            raise SystemExit(f"slipway run {model}: exit code {done.returncode}")
    told = subprocess.run([*SLIPWAY, *here, "report", model, "--json"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    report = json.loads(told.stdout)
    return {
        "measured": report["started"],
        "wall_s": report["wall_s"],
        "machine": report["machine"],
        "versions": report["versions"],
        "seconds_per_row": report["settings"]["seconds_per_row"],
        "rate_per_s": report["settings"]["rate_per_s"],
        "parent_peak_rss_bytes": report["parent_peak_rss_bytes"],
        "recommended": report["recommendation"]["row"],
        "rows": len(report["rows"]),
        "artifacts": [artifact_figures(artifact, report["rows"]) for artifact in report["artifacts"]],
    }


def merged(known: dict[str, Any], paths: list[str], found: dict[str, Any]) -> dict[str, Any]:
    """Returns a run's figures with those of some paths, measured ``again``, in the place of theirs."""
    new = {one["name"]: one for one in found["artifacts"]}
    again = dict.fromkeys(paths, (found["measured"], found["seconds_per_row"]))
    artifacts = [new.get(one["name"], one) for one in known["artifacts"]]
    return known | {"artifacts": artifacts, "again": known.get("again", {}) | again}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=MODELS)
    parser.add_argument("--path", nargs="+", choices=PATHS, default=[], help="only these")
    parser.add_argument("--duration", type=float, default=2.0, help="seconds of load test a row (default: 2)")
    parser.add_argument("--workspace", type=Path, default=ROOT)
    parser.add_argument("--last", action="store_true", help="read the last reports, measure nothing")
    chosen = parser.parse_args()
    workspace = chosen.workspace.resolve()
    known = json.loads(RESULTS.read_text())["models"] if RESULTS.exists() else {}
    for model in chosen.model:
        found = of_model(model, chosen.path, workspace, chosen.duration, chosen.last)
        known[model] = merged(known[model], chosen.path, found) if chosen.path else found
        results = {"command": "python benchmarks/real_models.py", "models": known}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(RESULTS)


if __name__ == "__main__":
    main()

"""Copies the ledger of claims, without its longest raw numbers, beside the verdicts before; writes results/claims.json.

    slipway claims run
    slipway claims report
    python benchmarks/claims.py [--workspace .]

It measures nothing: ``slipway claims report`` has written ``reports/claims/claims.json`` in the workspace.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pipelines.base.files import write_text
from pipelines.claims import ARTICLE
from pipelines.claims.texts import page

RESULTS = Path(__file__).parent / "results" / "claims.json"
SECTIONS = range(1, 9)
MOST_ROUNDS = 12
"""Raw numbers of more rounds are left out; a full run has six."""
MOST_CHARS = 1_500
"""Facts that are longer than this, as JSON, are left out; the workspace keeps them."""
EFFORTS = ("tiny", "quick", "full")


def trimmed(view: dict[str, Any]) -> dict[str, Any]:
    """Returns what the documentation keeps of one claim."""
    line, entry = view["line"], view["entry"]
    kept = {name: line[name] for name in ("id", "sections", "sentence", "outcome", "number", "says", "stale", "void")}
    if entry is None:
        return kept
    evidence = entry["evidence"]
    facts = {name: value for name, value in evidence["facts"].items() if len(json.dumps(value)) <= MOST_CHARS}
    return kept | {
        "reason": (entry["reason"] or "").partition("\n")[0] or None,  # without the end of a log
        "measured": entry["started"],
        "took_s": round(entry["took_s"], 1),
        "effort": EFFORTS[entry["effort"]],
        "seed": entry["seed"],
        "machine": entry["machine"],
        "versions": entry["versions"],
        "readings": [_reading(one) for one in evidence["readings"]],
        "controls": [_reading(one) for one in evidence["controls"]],
        "facts": facts,
        "facts_left_out": sorted(set(evidence["facts"]) - set(facts)),
        "warnings": evidence["warnings"],
        "runs": evidence["runs"],
    }


def before(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any] | None:
    """Returns what the last measurement of a claim but this one gave: from the copy that is replaced."""
    if old is None or old["outcome"] is None:
        return None
    if old["measured"] == new.get("measured"):
        kept: dict[str, Any] | None = old.get("before")
        return kept
    return {name: old[name] for name in ("outcome", "number", "measured", "machine")}


def _reading(reading: dict[str, Any]) -> dict[str, Any]:
    return reading | {"raw": reading["raw"] if len(reading["raw"]) <= MOST_ROUNDS else []}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path())
    ledger = parser.parse_args().workspace / "reports" / "claims" / "claims.json"
    if not ledger.exists():
        sys.exit(f"no ledger at {ledger}; run: slipway claims run; slipway claims report")
    sections = {str(number): page()[f"section-{number}"].en for number in SECTIONS}
    claims = [trimmed(view) for view in json.loads(ledger.read_text())]
    last = {one["id"]: one for one in json.loads(RESULTS.read_text())["claims"]} if RESULTS.exists() else {}
    claims = [one | {"before": before(last.get(one["id"]), one)} for one in claims]
    results = {"article": ARTICLE, "command": "slipway claims run", "sections": sections, "claims": claims}
    write_text(RESULTS, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    measured = sum(claim["outcome"] is not None for claim in claims)
    print(f"{measured} of {len(claims)} claims are measured: {RESULTS}; now: make figures")


if __name__ == "__main__":
    main()

"""H1: choose TensorFlow for production, distribution, cross-platform."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.deployment import runs, winners
from pipelines.claims.plots import Bars

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="H1",
    sections=(7,),
    kind="testable",
    sources=(
        *("pipelines.claims.experiments.deployment.runs", "pipelines.claims.experiments.deployment.winners"),
        "pipelines.claims.status",
    ),
    reads_runs=True,
)

MOST = 2 / 3
"""The share of decided questions that a framework must win for the advice to be right, or to be wrong."""
LEAST = 6
"""With fewer decided questions nothing is said."""


def measure(bench: Workbench) -> Evidence:
    """Ask every question of every newest run: which rows are best, and which framework they are made from."""
    reports = bench.reports()
    cells = [cell for model, report in reports.items() for cell in winners.cells(model, report)]
    recommended = {model: report.recommendation.row for model, report in reports.items()}
    return Evidence(facts={"cells": cells, "recommended": recommended}, runs=runs.named(reports))


def judge(evidence: Evidence) -> Verdict:
    """Count the questions that the rows of one framework alone win."""
    counts = Counter(cell["framework"] for cell in evidence.facts.get("cells", ()))
    won = {name: counts[name] for name in ("tensorflow", "pytorch")}
    decided = sum(won.values())
    values = {**won, "tie": counts["tie"], "cells": decided + counts["tie"]}
    number = f"{won['tensorflow']} against {won['pytorch']}"
    if decided < LEAST:
        return Verdict(Ruling.UNDECIDED, values, number=number)
    if won["tensorflow"] >= MOST * decided:
        return Verdict(Ruling.HOLDS, values, number=number)
    if won["pytorch"] >= MOST * decided:
        return Verdict(Ruling.DOES_NOT_HOLD, values, number=number)
    return Verdict(Ruling.DEPENDS, values, number=number)


def plot(evidence: Evidence) -> Plot | None:
    """Show how many questions each framework wins."""
    counts = Counter(cell["framework"] for cell in evidence.facts["cells"])
    return Bars(
        {"TensorFlow": counts["tensorflow"], "PyTorch": counts["pytorch"], "both": counts["tie"]}, "questions won"
    )

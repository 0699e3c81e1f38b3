"""Measures nothing: the part of a claim's module that all claims share for which there is nothing here to test them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Evidence, Ruling, Verdict

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot


def measure(bench: Workbench) -> Evidence:  # noqa: ARG001
    """Measure nothing: there is nothing here to measure it with."""
    return Evidence()


def judge(evidence: Evidence) -> Verdict:  # noqa: ARG001
    """Say that it cannot be tested here."""
    return Verdict(Ruling.NOT_HERE)


def plot(evidence: Evidence) -> Plot | None:  # noqa: ARG001
    """Draw nothing."""
    return None

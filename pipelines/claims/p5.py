"""P5: TPU native, Google Cloud; CUDA; Triton widens hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.bench import ChildCall, Effort

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

TRITON = "pipelines.claims.experiments.ecosystem.triton_kernel"
CLAIM = Claim(
    id="P5",
    sections=(3,),
    kind="not here",
    sources=(TRITON, "pipelines.claims.experiments.ecosystem.triton_source"),
    requires=("torch",),
    beside=True,
)


def measure(bench: Workbench) -> Evidence:
    """Run a kernel by Triton's interpreter. The wheel is large: the form for tests leaves it out."""
    if bench.effort is Effort.TINY:
        return Evidence(facts={"triton": None})
    from pipelines.claims.experiments.ecosystem.triton_kernel import ENVIRONMENT

    return Evidence(facts={"triton": bench.run(ChildCall(f"{TRITON}:add", environment=ENVIRONMENT)).value})


def judge(evidence: Evidence) -> Verdict:
    """Say what was shown: it decides nothing, since no TPU and no GPU is here."""
    shown = evidence.facts["triton"]
    if shown is None:
        return Verdict(Ruling.NOT_HERE)
    values = {"version": shown["version"]}
    if not shown["exact"]:
        return Verdict(Ruling.NOT_HERE, values, "not-here-wrong", "kernel wrong")
    return Verdict(Ruling.NOT_HERE, values, "not-here-shown", "kernel shown")


def plot(evidence: Evidence) -> Plot | None:  # noqa: ARG001
    """Draw nothing."""
    return None

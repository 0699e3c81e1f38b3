"""E2: TensorBoard is a tool to look at trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.bench import ChildCall

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

BOARDS = "pipelines.claims.experiments.ecosystem.tensorboards"
CLAIM = Claim(
    id="E2",
    sections=(4,),
    kind="testable",
    sources=(BOARDS,),
    requires=("tensorboard", "tensorflow", "torch"),
    beside=True,
)
NAMES = {"scalars": ("curves", "曲线"), "image": ("pictures", "图像"), "histogram": ("histograms", "直方图")}


def measure(bench: Workbench) -> Evidence:
    """Log the same values from both frameworks, and read both logs."""
    first = bench.run(ChildCall(f"{BOARDS}:log_by_torch", {"folder": str(bench.folder)})).value
    found = bench.run(ChildCall(f"{BOARDS}:log_by_tensorflow_and_read", {"folder": str(bench.folder)})).value
    return Evidence(facts={"equal": found["equal"]}, warnings=(*first, *found["warnings"]))


def judge(evidence: Evidence) -> Verdict:
    """It holds if TensorBoard gives out the same values from both logs; without equal curves it does not."""
    equal = evidence.facts["equal"]
    good = [name for name in NAMES if equal[name]]
    rest = [name for name in NAMES if not equal[name]]
    values = {
        f"{which}_{language}": mark.join(NAMES[name][place] for name in names)
        for which, names in (("good", good), ("rest", rest))
        for place, (language, mark) in enumerate((("en", ", "), ("zh", "、")))
    }
    outcome = Ruling.HOLDS if not rest else Ruling.DEPENDS if equal["scalars"] else Ruling.DOES_NOT_HOLD
    return Verdict(outcome, values, number=f"{len(good)} of {len(NAMES)} kinds equal")


def plot(evidence: Evidence) -> Plot | None:  # noqa: ARG001
    """Draw nothing: equal is equal."""
    return None

"""S5: MirroredStrategy is native, torch.distributed a little harder to configure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.bench import pairs
from pipelines.claims.experiments.statistics import ratio
from pipelines.claims.plots import Dumbbells, Point

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="S5",
    sections=(2,),
    kind="testable",
    experiments=("parallel",),
    sources=("pipelines.claims.experiments.launching", "pipelines.claims.experiments.scripts"),
    requires=("torch", "tensorflow", "keras"),
)
FEWER = 0.8
"""TensorFlow's change is smaller with less than this share of PyTorch's lines. Fixed before measuring."""
SINGLE = {"ddp": "torch", "mirrored": "keras", "multiworker": "keras loop"}
"""Each way of training in two, and the same training in one process."""
CONTROLS = {"torch again": "torch", "keras again": "keras"}
KINDS = ("wall", "cpu")


def measure(bench: Workbench) -> Evidence:
    """Train in one process and in two, in every way; count the lines that differ."""
    found = bench.shared("parallel")
    arms = found["arms"]
    readings, controls = [], []
    for kind in KINDS:
        for arm, single in SINGLE.items():
            if single in arms:
                readings.append(ratio(f"{arm} {kind}", pairs(arms, arm, single, lambda one: one[f"{kind}_s"]), 6))  # noqa: B023
    for again, single in CONTROLS.items():
        if again in arms:
            controls.append(ratio(f"{again} cpu", pairs(arms, again, single, lambda one: one["cpu_s"])))
    facts = {name: found[name] for name in ("lines", "differences", "fit")}
    return Evidence(tuple(readings), facts, tuple(controls))


def judge(evidence: Evidence) -> Verdict:
    """Compare the lines that two devices, and two processes, cost in each framework; all had equal weights.

    On one machine MirroredStrategy against DDP; over several processes MultiWorkerMirroredStrategy, by ``fit`` if that
    trained, else by a loop, against DDP. The claim holds if TensorFlow takes fewer than FEWER of PyTorch's in both.
    """
    lines = evidence.facts["lines"]
    torch = lines["torch_ddp"]["torch_single"]
    one = lines["keras_mirrored"]["keras_single"]
    failed = evidence.facts["fit"] is not None
    several = min(lines["keras_loop_multiworker" if failed else "keras_multiworker"].values())
    smaller = (one < FEWER * torch, several < FEWER * torch)
    words = {
        (True, True): "holds",
        (False, False): "does-not-hold",
        (True, False): "depends",
        (False, True): "depends-several",
    }[smaller]
    outcome = {2: Ruling.HOLDS, 1: Ruling.DEPENDS, 0: Ruling.DOES_NOT_HOLD}[sum(smaller)]
    values = {"torch": torch, "one": one, "several": several, **_fit(failed)}
    return Verdict(outcome, values, words, f"{one} and {several} lines against {torch}")


def _fit(failed: bool) -> dict[str, str]:
    """Say what became of ``fit`` over several processes."""
    if failed:
        return {
            "fit_en": "its fit fails there, so a training loop has to be written",
            "fit_zh": "此时 fit 会报错，只能自己编写训练循环",
        }
    return {"fit_en": "its fit works there", "fit_zh": "此时 fit 可以正常运行"}


def plot(evidence: Evidence) -> Plot | None:
    """Draw the seconds of two processes over those of one; CPU seconds hollow."""
    points = [Point(one.name, one.value, one.low, one.high, one.name.endswith("cpu")) for one in evidence.readings]
    return Dumbbells(tuple(points), "seconds a step: two over one") if points else None

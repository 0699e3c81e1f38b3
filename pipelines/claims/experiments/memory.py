"""Measures the memory that training takes for each row of a batch: the slope of the peak over two batch sizes.

A peak also holds the program, its libraries and what a compiler left behind. None of these grows with the batch, so
they drop out of the slope. Each point is a fresh process: TensorFlow's peak cannot be reset within one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.base.errors import SlipwayError
from pipelines.claims.experiments.bench import ChildCall, Effort, Workbench
from pipelines.claims.experiments.nets import shapes
from pipelines.claims.experiments.nets.child import arms_of, heard, imported

REQUIRES = ("keras", "tensorflow", "torch")
SOURCES = ("pipelines.claims.experiments.nets", "models.weights")
STEPS = 3
APART = 0.05
"""How far the weights may be apart after STEPS steps, as a share of their change; measured: up to 0.004."""
NET = "cnn16"
AGAIN = "torch-eager again"
ARMS = ("tf-eager", "tf-function", "tf-xla", "torch-eager", "torch-compile", "torch-aot")
"""``torch-aot`` is AOTAutograd with its partitioner, which decides what to keep for the backward pass; no compiler."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Arms, two batch sizes (rows), and how often each point is measured; ``again`` measures one arm twice."""

    arms: tuple[str, ...]
    batches: tuple[int, int]
    runs: int
    again: bool = True


PLANS = {
    Effort.TINY: MemoryPlan(("tf-function", "torch-eager"), (256, 768), 1, again=False),
    Effort.QUICK: MemoryPlan(("tf-eager", "tf-function", "torch-eager", "torch-aot"), (512, 1536), 1),
    Effort.FULL: MemoryPlan(ARMS, (512, 1536), 3),
}


def run(bench: Workbench) -> dict[str, Any]:
    """Return ``bytes`` a row, {arm: one figure for each run}; ``apart``, the largest difference; ``warnings``.

    Raises SlipwayError if two arms do not compute the same, or if the peak is not that of training.
    """
    plan = PLANS[bench.effort]
    cache = bench.folder / "inductor"
    cache.mkdir(exist_ok=True)
    names = {arm: arm for arm in plan.arms} | ({AGAIN: "torch-eager"} if plan.again else {})
    jobs = {
        f"{name} {batch}": _job(arm, batch, bench.seed, str(cache))
        for name, arm in names.items()
        for batch in plan.batches
    }
    found = bench.interleaved("memory", jobs, plan.runs)
    small, large = plan.batches
    distances = [
        _distance(found[f"torch-eager {batch}"][number]["print"], found[f"{name} {batch}"][number]["print"], name)
        for name in names
        for batch in plan.batches
        for number in range(plan.runs)
    ]
    return {
        "bytes": {
            name: _slopes(found[f"{name} {small}"], found[f"{name} {large}"], large - small, name) for name in names
        },
        "apart": max(distances),
        "batches": list(plan.batches),
        "net": NET,
        "warnings": sorted({text for values in found.values() for one in values for text in one["warnings"]}),
    }


def _job(arm: str, batch: int, seed: int, cache: str) -> ChildCall:
    request = {"arm": arm, "net": NET, "batch": batch, "seed": seed, "cache": cache}
    measured = "pipelines.claims.experiments.memory:measure_peak"
    return ChildCall(measured, request, timeout_s=600, imported=imported(arm))


def measure_peak(arm: str, net: str, batch: int, seed: int, cache: str) -> dict[str, Any]:
    """Train STEPS steps in this process; return its peak memory before and after, in bytes, and what was computed."""
    import psutil

    from serving.launch import peak_rss_bytes

    with heard() as warned:
        arms = arms_of(arm)
        arms.start(cache)
        trial = arms.trial(arm, net, batch, (), seed)
        before = {name: np.array(array) for name, array in trial.weights().items()}
        idle = peak_rss_bytes(psutil.Process())
        for number in range(STEPS):
            trial.step(number)
        peak = peak_rss_bytes(psutil.Process())
        return {
            "idle": idle,
            "peak": peak,
            "print": shapes.fingerprint(before, trial.weights()),
            "warnings": warned(),
        }


def _slopes(
    small: Sequence[Mapping[str, Any]], large: Sequence[Mapping[str, Any]], rows: int, name: str
) -> list[float]:
    found = [(much["peak"] - little["peak"]) / rows for little, much in zip(small, large, strict=True)]
    if any(one["peak"] <= one["idle"] for one in (*small, *large)) or min(found) <= 0:
        raise SlipwayError(f"{name}: the peak must be that of training, and grow with the batch. Received: {found}")
    return found


def _distance(base: Mapping[str, Any], other: Mapping[str, Any], name: str) -> float:
    found = shapes.apart(base, other)
    if not found <= APART:
        raise SlipwayError(f"{name} does not train as torch-eager does: {found:.2g} apart (limit {APART:g})")
    return found

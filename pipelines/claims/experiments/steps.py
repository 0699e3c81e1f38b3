"""Measures training steps and predictions of the same networks in six ways: the matrix that several claims read.

Each arm is a fresh process in each round, which goes through all networks. Its figure for a network is the median of
a few blocks of steps: CPU seconds of all threads for one step. The first call stands apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.base.errors import SlipwayError
from pipelines.claims.experiments.bench import ChildCall, Effort, Workbench
from pipelines.claims.experiments.nets import shapes
from pipelines.claims.experiments.nets.child import imported
from pipelines.claims.experiments.nets.readings import AGAIN

REQUIRES = ("keras", "tensorflow", "torch")
SOURCES = ("pipelines.claims.experiments.nets", "models.mnist_cnn", "models.weights")
ARMS = ("tf-eager", "tf-function", "tf-xla", "torch-eager", "torch-channels-last", "torch-compile")
FIRST_APART, WARM_APART, ANSWERS_APART = 0.01, 0.1, 1e-3
"""How far weights may be apart after the first step, and after WARM, as a share of their change; and predictions.

Rounding flips the sign of a few rectified values, and each step adds to that: measured up to 0.015 after WARM steps.
Training that is not the same, for example without momentum, is at 0.3 and more.
"""
WAYS, SERVED = ("infer",), ("infer", "saved", "predict")
"""How an arm predicts; tf-function also by a SavedModel and by Keras."""
COLD_NET = "mnist_cnn"


@dataclass(frozen=True, slots=True)
class StepPlan:
    """How much is measured.

    ``nets`` are trained; ``called`` also predict, with batches of ``rows``; arms that have to be compiled for that do
    so only if ``compiled``. ``few`` are the networks of XLA, which compiles slowly, of the controls, and of what costs
    an export: SavedModels and Keras's ``predict``. A figure takes ``budget_s`` CPU seconds. In ``cold`` rounds more,
    PyTorch's compiler begins with nothing; ``again`` are the arms of the controls. That compiler takes half a minute of
    a network: those ``not_compiled`` are left out.
    """

    nets: tuple[str, ...]
    called: tuple[str, ...]
    few: tuple[str, ...]
    rows: tuple[int, ...]
    compiled: bool
    budget_s: float
    cold: int
    again: tuple[str, ...]
    not_compiled: tuple[str, ...] = ()


PLANS = {
    Effort.TINY: StepPlan(("cnn4",), ("cnn4",), ("cnn4",), (1,), False, 0.0, 0, ("torch-eager",)),
    Effort.QUICK: StepPlan(
        ("cnn4", "cnn16", "mnist_cnn"),
        ("mnist_cnn",),
        ("mnist_cnn",),
        (1,),
        True,
        0.1,
        0,
        ("torch-eager",),
        ("cnn16",),
    ),
    Effort.FULL: StepPlan(
        (*shapes.FAMILY, *shapes.OTHERS),
        shapes.OTHERS,
        ("mnist_cnn", "transformer"),
        (1, 64),
        True,
        0.2,
        4,
        tuple(AGAIN),
    ),
}


def run(bench: Workbench) -> dict[str, Any]:
    """Measure the matrix. Raises SlipwayError if two arms do not compute the same.

    Returns ``cpu``, ``wall`` and ``first`` as {arm: {cell: seconds of each round}}, ``drift`` as {arm: {cell: last
    block over first}}; ``cold``, {network: CPU seconds of first training steps compiled from nothing}; ``apart``, the
    largest differences between arms; a cell is ``train NET`` or ``infer64 NET``.
    """
    plan = PLANS[bench.effort]
    cache = bench.folder / "inductor"
    cache.mkdir(exist_ok=True)
    rounds = 1 if bench.effort is Effort.TINY else None
    found = bench.interleaved("steps", _jobs(plan, str(cache), bench.seed), rounds)
    cold = found["torch-compile"]
    if plan.cold:
        job = _job("torch-compile", (COLD_NET,), {}, plan.budget_s, bench.seed)
        cold = cold + bench.interleaved("cold", {"cold": job}, plan.cold)["cold"]
    differences = [
        _apart(base, other, arm)
        for arm, others in found.items()
        for base, other in zip(found["torch-eager"], others, strict=True)
    ]
    return {
        "work": {net: shapes.family_work(width) for net, width in shapes.FAMILY.items() if net in plan.nets},
        **{part: {arm: _by_cell(values, part) for arm, values in found.items()} for part in _PARTS},
        "cold": {net: _firsts([one for one in cold if one["cold"]], f"train {net}") for net in _compiled(plan)},
        "breaks": max(one["breaks"] for one in found["torch-compile"]),
        "eager": {arm: all(one["eager"] for one in found[arm]) for arm in ("tf-eager", "torch-eager")},
        "apart": dict(zip(("first", "warm", "answers"), np.max(differences, axis=0).tolist(), strict=True)),
        "warnings": sorted({text for values in found.values() for one in values for text in one["warnings"]}),
    }


_PARTS = ("cpu", "wall", "first", "drift")


def _jobs(plan: StepPlan, cache: str, seed: int) -> dict[str, ChildCall]:
    pictures = tuple(net for net in plan.nets if net != "transformer")

    def job(arm: str, nets: Sequence[str], ways: Sequence[str] = WAYS, cache: str | None = None) -> ChildCall:
        called = {
            net: [f"{way}{rows}" for way in ways if way in WAYS or net in plan.few for rows in plan.rows]
            for net in nets
            if net in plan.called
        }
        return _job(arm, nets, called, plan.budget_s, seed, cache)

    compiled = WAYS if plan.compiled else ()
    return {
        "tf-eager": job("tf-eager", plan.nets),
        "tf-function": job("tf-function", plan.nets, SERVED),
        "tf-xla": job("tf-xla", plan.few, compiled),
        "torch-eager": job("torch-eager", plan.nets),
        "torch-channels-last": job("torch-channels-last", pictures),
        "torch-compile": job("torch-compile", _compiled(plan), compiled, cache),
        **{AGAIN[arm]: job(arm, plan.few) for arm in plan.again},
    }


def _compiled(plan: StepPlan) -> list[str]:
    return [net for net in plan.nets if net not in plan.not_compiled]


def _job(
    arm: str,
    nets: Sequence[str],
    called: Mapping[str, Sequence[str]],
    budget_s: float,
    seed: int,
    cache: str | None = None,
) -> ChildCall:
    calls = {net: list(called.get(net, ())) for net in nets}
    request = {"arm": arm, "nets": calls, "budget_s": budget_s, "seed": seed, "cache": cache}
    measured = "pipelines.claims.experiments.nets.child:measure_arm"
    return ChildCall(measured, request, timeout_s=900, imported=imported(arm))


def _by_cell(values: Sequence[Mapping[str, Any]], part: str) -> dict[str, list[float]]:
    return {cell: [one["cells"][cell][part] for one in values] for cell in values[0]["cells"]}


def _firsts(values: Sequence[Mapping[str, Any]], cell: str) -> list[float]:
    return [one["cells"][cell]["first"] for one in values if cell in one["cells"]]


def _apart(base: Mapping[str, Any], other: Mapping[str, Any], arm: str) -> tuple[float, float, float]:
    """Return the largest differences of two arms. Raises SlipwayError if they did not compute the same."""
    found = [0.0, 0.0, 0.0]
    for cell, one in other["cells"].items():
        way, net = cell.split()
        if way == "train":
            columns = enumerate(zip(base["cells"][cell]["prints"], one["prints"], strict=True))
            distances = {place: shapes.apart(first, second) for place, (first, second) in columns}
        else:
            rows = way.lstrip("abcdefghijklmnopqrstuvwxyz")
            expected = np.asarray(base["cells"][f"infer{rows} {net}"]["answer"])
            distances = {2: float(np.abs(expected - one["answer"]).max() / np.abs(expected).max())}
        for place, distance in distances.items():
            limit = (FIRST_APART, WARM_APART, ANSWERS_APART)[place]
            if not distance <= limit:
                raise SlipwayError(
                    f"{arm} does not compute what torch-eager does in {cell}: {distance:.2g} apart (limit {limit:g})"
                )
            found[place] = max(found[place], distance)
    return found[0], found[1], found[2]

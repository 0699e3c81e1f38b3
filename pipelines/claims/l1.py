"""L1: PyTorch code is close to Python and NumPy, TensorFlow's more engineered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.behaviour import facts, twins
from pipelines.claims.experiments.behaviour.parts import value_of, warnings_of
from pipelines.claims.plots import Dumbbells, Point

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="L1",
    sections=(5,),
    kind="testable",
    experiments=(facts.NAME,),
    sources=(*facts.SOURCES, *twins.SOURCES),
    requires=facts.REQUIRES,
    beside=True,
)
PARTS = ("torch: numpy", "tensorflow: numpy", "tensorflow: numpy, switched on")
SWITCHED_ON = "tf.experimental.numpy, switched on"
ORDINARY = ("tf", "keras.ops")
"""What TensorFlow offers without a switch that is called experimental."""
PAIRS = {**twins.DEFINITIONS, **twins.LOOP, **twins.SEQUENTIAL}
COUNTED = ("tokens", "nodes")
CLOSER = 1 + twins.EFFECT
"""PyTorch is closer to NumPy if it computes so many times the expressions that TensorFlow does: fixed beforehand."""


def measure(bench: Workbench) -> Evidence:
    """Measure the code of the twins, and compute NumPy's own expressions in both frameworks."""
    torch, tensorflow, switched = (value_of(bench, facts.NAME, part) for part in PARTS)
    modules = {"torch": torch["torch"], **tensorflow, SWITCHED_ON: switched}
    code = twins.measured(PAIRS)
    return Evidence(
        readings=twins.readings(code),
        facts={"code": code, "numpy": modules, "names of NumPy": torch["of"]},
        warnings=warnings_of(bench, [(facts.NAME, part) for part in PARTS]),
    )


def judge(evidence: Evidence) -> Verdict:
    """Judge both halves: less code by a fifth in every pair, and more of NumPy's expressions by a fifth.

    It holds if both halves do, does not hold if neither does and no pair is shorter, and else depends on what is meant.
    """
    signs = {pair: twins.shorter(_ratios(evidence, pair)) for pair in evidence.facts["code"]}
    works = {name: _works(module) for name, module in evidence.facts["numpy"].items()}
    of = len(evidence.facts["numpy"]["torch"]["works"])
    best = max(works[name] for name in ORDINARY)
    closer = works["torch"] >= CLOSER * best
    words = list(signs.values())
    tokens = [evidence.reading(f"{pair}: tokens").value for pair in signs]
    values = {
        **{word: f"{words.count(word)}" for word in ("shorter", "longer", "alike")},
        "pairs": f"{len(signs)}",
        "low": f"{min(tokens):.2f}",
        "high": f"{max(tokens):.2f}",
        "torch": f"{works['torch']}",
        "tf": f"{works['tf']}",
        "keras": f"{works['keras.ops']}",
        "switched": f"{works[SWITCHED_ON]}",
        "of": f"{of}",
    }
    number = f"NumPy {works['torch']} against {best} of {of}; code {min(tokens):.2f} to {max(tokens):.2f}"
    if closer and words.count("shorter") == len(words):
        return Verdict(Ruling.HOLDS, values, number=number)
    if closer or "shorter" in words:
        words_of = "depends-numpy" if closer else "depends-code"
        return Verdict(Ruling.DEPENDS, values, words=words_of, number=number)
    return Verdict(Ruling.DOES_NOT_HOLD, values, number=number)


def _ratios(evidence: Evidence, pair: str) -> tuple[float, ...]:
    return tuple(evidence.reading(f"{pair}: {counted}").value for counted in COUNTED)


def _works(module: Mapping[str, Any]) -> int:
    return sum(found == "ok" for found in module["works"].values())


def plot(evidence: Evidence) -> Plot | None:
    """Draw PyTorch's code over TensorFlow's."""
    points = tuple(Point(one.name, one.value) for one in evidence.readings)
    return Dumbbells(points, "PyTorch / TensorFlow")

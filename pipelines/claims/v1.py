"""V1: Keras simplifies building (Sequential, Functional)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.artifacts.sources import place_of
from pipelines.base.errors import SlipwayError
from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.behaviour import facts, twins
from pipelines.claims.experiments.behaviour.code_size import size_of
from pipelines.claims.experiments.behaviour.parts import value_of, warnings_of
from pipelines.claims.plots import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="V1",
    sections=(6,),
    kind="testable",
    experiments=(facts.NAME,),
    sources=facts.SOURCES,
    requires=facts.REQUIRES,
    beside=True,
)
PARTS = ("tensorflow: styles", "torch: styles")
WITHOUT = "TensorFlow without Keras"
CODE = {
    "Sequential": ("in_tensorflow.nets", ("sequential",)),
    "Functional": ("in_tensorflow.nets", ("functional",)),
    "subclassed": ("in_tensorflow.nets", ("Subclassed",)),
    WITHOUT: ("in_tensorflow.nets", ("PlainDense", "PlainNet")),
    "PyTorch": ("in_torch.styles", ("network",)),
    "training: fit": ("in_tensorflow.nets", ("fit",)),
    "training: TensorFlow without Keras": ("in_tensorflow.nets", ("plain_loop",)),
    "training: PyTorch": ("in_torch.styles", ("loop",)),
}
"""The code of each style, for the same network and the same training."""
NAMED = ("Sequential", "Functional")
"""The styles that the claim names."""
COUNTED = ("tokens", "nodes")
IN_CHINESE = {"ok": "成功", "refused": "被拒绝", "failed": "运行时出错", "silently wrong": "答案错误而不报错"}
TOLERANCE = 1e-3
"""The largest difference of the trained networks' outputs, which are about 1: they compute the same thing."""


def measure(bench: Workbench) -> Evidence:
    """Build and train one network in every style, take Keras's through every path, and measure the code.

    Raises SlipwayError if the trained networks do not give the same answers: their code would not compare.
    """
    keras, torch = (value_of(bench, facts.NAME, part) for part in PARTS)
    answers = {**keras["answers"], "PyTorch": torch["answers"]}
    away = {style: _distance(found, answers["PyTorch"]) for style, found in answers.items()}
    if max(away.values()) > TOLERANCE:
        raise SlipwayError(f"the trained networks differ in their outputs from PyTorch's by: {away}")
    sizes = {style: _size(*place) for style, place in CODE.items()}
    return Evidence(
        readings=tuple(
            twins.share(f"{style}: {counted}", sizes[style][counted], sizes[WITHOUT][counted])
            for style in keras["cells"]
            for counted in COUNTED
        ),
        facts={"cells": keras["cells"], "sizes": sizes, "uncalled": keras["uncalled"], "differences": away},
        warnings=warnings_of(bench, [(facts.NAME, part) for part in PARTS]),
    )


def _size(module: str, only: tuple[str, ...]) -> dict[str, int]:
    return size_of(place_of(f"{twins.SIDES}.{module}").read_text("utf-8"), only).figures()


def _distance(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    pairs = (pair for rows in zip(one, other, strict=True) for pair in zip(*rows, strict=True))
    return max(abs(left - right) for left, right in pairs)


def judge(evidence: Evidence) -> Verdict:
    """Judge by the code of Sequential and Functional against TensorFlow without Keras, and by the paths.

    It holds if both are shorter by a fifth, in tokens and in nodes, and every style comes out of every path with the
    same answers; does not hold if neither is shorter; else it depends on the style or the path.
    """
    cells = [cell["outcome"] for paths in evidence.facts["cells"].values() for cell in paths.values()]
    ratios = {style: tuple(evidence.reading(f"{style}: {one}").value for one in COUNTED) for style in NAMED}
    short = [style for style in NAMED if twins.shorter(ratios[style]) == "shorter"]
    sizes = evidence.facts["sizes"]
    values = {
        **{
            style.lower(): f"{sizes[style]['tokens']}"
            for style in ("Sequential", "Functional", "subclassed", "PyTorch")
        },
        "without": f"{sizes[WITHOUT]['tokens']}",
        "fit": f"{sizes['training: fit']['tokens']}",
        "loop": f"{sizes['training: TensorFlow without Keras']['tokens']}",
        "loop_pytorch": f"{sizes['training: PyTorch']['tokens']}",
        "ok": f"{cells.count('ok')}",
        "of": f"{len(cells)}",
        "uncalled": evidence.facts["uncalled"],
        "uncalled_zh": IN_CHINESE[evidence.facts["uncalled"]],
        "shorter": ", ".join(short) or "-",
    }
    low, high = (pick(one for pair in ratios.values() for one in pair) for pick in (min, max))
    number = f"{low:.2f} to {high:.2f} of the code; {cells.count('ok')} of {len(cells)} paths"
    if not short:
        return Verdict(Ruling.DOES_NOT_HOLD, values, number=number)
    whole = len(short) == len(NAMED) and cells.count("ok") == len(cells)
    return Verdict(Ruling.HOLDS if whole else Ruling.DEPENDS, values, number=number)


def plot(evidence: Evidence) -> Plot | None:
    """Draw the outcome of every style on every path."""
    cells = evidence.facts["cells"]
    paths = tuple(next(iter(cells.values())))
    return Grid(tuple(cells), paths, tuple(tuple(cells[style][path]["outcome"] for path in paths) for style in cells))

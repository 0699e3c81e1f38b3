"""H2: choose PyTorch for prototypes and dynamic structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.behaviour import flow
from pipelines.claims.experiments.behaviour.parts import value_of, warnings_of
from pipelines.claims.plots import Grid

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="H2",
    sections=(7,),
    kind="testable",
    experiments=(flow.NAME,),
    sources=flow.SOURCES,
    requires=flow.REQUIRES,
    beside=True,
)
PARTS = {"PyTorch": "torch: grid", "TensorFlow": "tensorflow: grid"}
MARGIN = 0.20
"""One framework is ahead of another if it takes so much more of all forms: two of ten. Fixed before measuring."""

STAGES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "eager": {"PyTorch": ("eager",), "TensorFlow": ("eager",), "Keras": ("Keras call",)},
    "compiled": {"PyTorch": ("torch.compile",), "TensorFlow": ("tf.function",), "Keras": ("Keras predict",)},
    "exported": {
        "PyTorch": ("torch.export", "ONNX (dynamo)", "jit.trace", "jit.script"),
        "TensorFlow": ("SavedModel", "TFLite", "ONNX (tf2onnx)"),
        "Keras": ("Keras export",),
    },
}
"""The paths of each stage, by who offers them: at each stage, the one counts that takes the most forms."""
MAINTAINED = ("torch.export", "ONNX (dynamo)")
"""PyTorch's exports without TorchScript, which is deprecated."""
ONE_GRAPH = "torch.compile, one graph"
OK, WRONG = "ok", "silently wrong"


def measure(bench: Workbench) -> Evidence:
    """Take every form of control flow through every path of both frameworks, and compare its answers with numpy's."""
    grids = {side: value_of(bench, flow.NAME, part) for side, part in PARTS.items()}
    cells: dict[str, dict[str, Any]] = {}
    for side, grid in grids.items():
        for form, paths in grid["cells"].items():
            for path, cell in paths.items():
                cells.setdefault(label(side, path), {})[form] = cell
    return Evidence(
        facts={
            "cells": cells,
            "graphs of torch.compile": grids["PyTorch"]["graphs"],
            "backend": grids["PyTorch"]["backend"],
        },
        warnings=warnings_of(bench, [(flow.NAME, part) for part in PARTS.values()]),
    )


def label(side: str, path: str) -> str:
    """Return a path's name in the evidence: ``eager`` exists on both sides."""
    return path if path.startswith("Keras") else f"{side}: {path}"


def judge(evidence: Evidence) -> Verdict:
    """Judge at three stages, against TensorFlow and against Keras.

    It holds if PyTorch is ahead somewhere and behind nowhere, does not hold if it is ahead nowhere, and else depends
    on the stage and on who is compared.
    """
    cells = evidence.facts["cells"]
    best = {stage: {who: _best(cells, who, paths) for who, paths in sides.items()} for stage, sides in STAGES.items()}
    forms = len(next(iter(cells.values())))
    leads = [(one["PyTorch"][0] - one[who][0]) / forms for one in best.values() for who in ("TensorFlow", "Keras")]
    wrong = {who: [form for path in _paths_of(who) for form in _with(cells[path], WRONG)] for who in PARTS}
    values = {
        "forms": f"{forms}",
        **{f"{stage}_{who.lower()}": f"{found[0]}" for stage, sides in best.items() for who, found in sides.items()},
        "best_pytorch": best["exported"]["PyTorch"][1],
        "maintained": f"{_best(cells, 'PyTorch', MAINTAINED)[0]}",
        "one_graph": f"{len(_with(cells[label('PyTorch', ONE_GRAPH)], OK))}",
        "wrong_pytorch": f"{len(wrong['PyTorch'])}",
        "wrong_maintained": f"{sum(len(_with(cells[label('PyTorch', path)], WRONG)) for path in MAINTAINED)}",
        "wrong_tensorflow": f"{len(wrong['TensorFlow'])}",
        "unwarned": f"{_unwarned(cells)}",
    }
    number = ", ".join(
        f"{stage} {found['PyTorch'][0]}/{found['TensorFlow'][0]}/{found['Keras'][0]}" for stage, found in best.items()
    )
    ahead, behind = any(lead >= MARGIN for lead in leads), any(lead <= -MARGIN for lead in leads)
    outcome = Ruling.DOES_NOT_HOLD if not ahead else Ruling.DEPENDS if behind else Ruling.HOLDS
    return Verdict(outcome, values, number=f"{number} of {forms}")


def _best(cells: Mapping[str, Any], who: str, paths: tuple[str, ...]) -> tuple[int, str]:
    """Return the number of forms that the best of some paths takes, and that path."""
    counts = {path: len(_with(cells[label(who, path)], OK)) for path in paths}
    path = max(counts, key=lambda one: counts[one])
    return counts[path], path


def _with(forms: Mapping[str, Any], outcome: str) -> list[str]:
    return [form for form, cell in forms.items() if cell["outcome"] == outcome]


def _paths_of(who: str) -> list[str]:
    """Return the labels of the exports of a framework, Keras's with TensorFlow's."""
    names = {"PyTorch": ("PyTorch",), "TensorFlow": ("TensorFlow", "Keras")}[who]
    return [label(name, path) for name in names for path in STAGES["exported"][name]]


def _unwarned(cells: Mapping[str, Any]) -> int:
    """Count the wrong answers whose export showed no warning."""
    return sum(cell["outcome"] == WRONG and not cell["warned"] for forms in cells.values() for cell in forms.values())


def plot(evidence: Evidence) -> Plot | None:
    """Draw the outcome of every form on every path."""
    cells = evidence.facts["cells"]
    forms = tuple(next(iter(cells.values())))
    return Grid(forms, tuple(cells), tuple(tuple(cells[path][form]["outcome"] for path in cells) for form in forms))

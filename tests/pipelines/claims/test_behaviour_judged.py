"""Claims on what code does and how much of it there is: each rule, on both sides of its thresholds."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.claims import ClaimReading, Evidence, Ruling, Verdict, claim_module
from pipelines.claims.experiments.behaviour import twins
from pipelines.claims.l1 import SWITCHED_ON
from pipelines.claims.plots import Dumbbells, Grid
from pipelines.claims.texts import catalogue

HOLDS, NOT, DEPENDS = Ruling.HOLDS, Ruling.DOES_NOT_HOLD, Ruling.DEPENDS


def judged(name: str, evidence: Evidence) -> Verdict:
    """Judge, and fill the sentence in both languages: a missing value or sentence raises."""
    verdict = claim_module(name).judge(evidence)
    said = catalogue()[name].says(verdict)
    assert said.en
    assert said.zh
    assert verdict.number
    return verdict


@pytest.mark.parametrize("name", ["D2", "D4", "H2", "S4", "S8", "V1", "L1", "L2"])
def test_every_sentence_is_written(name: str) -> None:
    words = catalogue()[name]
    texts = [words.sentence, words.rule, words.confounds, words.changes, *words.verdicts.values()]
    assert not [text for text in texts if "TODO" in text.en + text.zh or not text.en or not text.zh]


def eager(**places: bool) -> Evidence:
    return Evidence(facts={"as it comes": places, "run_eagerly": {"fit": True}, "runs": {"call": 2, "fit": 1}})


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        (eager(call=True, fit=True), HOLDS),
        (eager(call=True, fit=False), DEPENDS),
        (eager(call=False, fit=False), NOT),
    ],
)
def test_d2(evidence: Evidence, outcome: Ruling) -> None:
    assert judged("D2", evidence).outcome is outcome
    assert claim_module("D2").plot(evidence) is None


def changing(torch: tuple[bool, int], tensorflow: tuple[bool, int]) -> Evidence:
    def models(last: tuple[bool, int]) -> dict[str, Any]:
        return {"depth": {"right": True, "turns": 3}, "tree": {"right": last[0], "turns": last[1]}}

    return Evidence(facts={"PyTorch eager": models(torch), "TensorFlow eager": models(tensorflow)})


@pytest.mark.parametrize(
    ("torch", "tensorflow", "key"),
    [
        ((True, 3), (True, 3), "holds-for-both"),
        ((True, 3), (False, 3), "holds"),
        ((True, 3), (True, 1), "holds"),
        ((False, 3), (True, 3), "does-not-hold"),
        ((True, 2), (True, 3), "does-not-hold"),
    ],
)
def test_d4(torch: tuple[bool, int], tensorflow: tuple[bool, int], key: str) -> None:
    evidence = changing(torch, tensorflow)
    assert judged("D4", evidence).key == key
    drawn = claim_module("D4").plot(evidence)
    assert isinstance(drawn, Grid)
    assert drawn.cells[1][0] == ("silently wrong" if key == "does-not-hold" else "ok")


def flow(**taken: int) -> Evidence:
    """Make evidence of ten forms; ``taken`` maps a path, ``_`` for anything but letters, to the number it takes."""
    paths = {
        **dict.fromkeys(("PyTorch: eager", "TensorFlow: eager", "Keras call"), 10),
        **{"PyTorch: torch.compile": 10, "TensorFlow: tf.function": 10, "Keras predict": 10},
        "PyTorch: torch.compile, one graph": 3,
        **{f"PyTorch: {path}": 0 for path in ("torch.export", "ONNX (dynamo)", "jit.trace", "jit.script")},
        **{f"TensorFlow: {path}": 0 for path in ("SavedModel", "TFLite", "ONNX (tf2onnx)")},
        "Keras export": 0,
    }
    unknown = set(taken) - {key(path) for path in paths}
    assert not unknown
    counts = {path: taken.get(key(path), count) for path, count in paths.items()}
    cells = {
        path: {f"form {at}": form("ok" if at < count else "refused") for at in range(10)}
        for path, count in counts.items()
    }
    return Evidence(facts={"cells": cells, "graphs of torch.compile": {}})


def key(path: str) -> str:
    return "".join(letter if letter.isalpha() else "_" for letter in path)


def form(outcome: str, warned: str = "") -> dict[str, str]:
    return {"outcome": outcome, "why": "", "warned": warned}


@pytest.mark.parametrize(
    ("taken", "outcome"),
    [
        ({}, NOT),
        ({"Keras_predict": 9}, NOT),
        ({"Keras_predict": 8}, HOLDS),
        ({"PyTorch__jit_script": 7, "Keras_export": 5, "TensorFlow__TFLite": 8}, HOLDS),
        ({"PyTorch__jit_script": 7, "Keras_export": 5, "TensorFlow__TFLite": 9}, DEPENDS),
        ({"TensorFlow__SavedModel": 9}, NOT),
        ({"PyTorch__torch_compile": 7}, NOT),
    ],
)
def test_h2(taken: dict[str, int], outcome: Ruling) -> None:
    assert judged("H2", flow(**taken)).outcome is outcome


def test_h2_tells_wrong_answers_apart() -> None:
    evidence = flow(PyTorch__jit_script=7)
    evidence.facts["cells"]["PyTorch: jit.trace"]["form 0"] = form("silently wrong", "TracerWarning")
    evidence.facts["cells"]["PyTorch: ONNX (dynamo)"]["form 1"] = form("silently wrong")
    values = judged("H2", evidence).values
    assert (values["wrong_pytorch"], values["wrong_tensorflow"], values["unwarned"]) == ("2", "0", "1")
    assert (values["best_pytorch"], values["maintained"]) == ("jit.script", "0")
    drawn = claim_module("H2").plot(evidence)
    assert isinstance(drawn, Grid)
    assert drawn.cells[1][drawn.columns.index("PyTorch: ONNX (dynamo)")] == "silently wrong"


def debugged(torch: int, tensorflow: int) -> Evidence:
    def mode(passed: int, mistake: str = "line") -> dict[str, Any]:
        probes = dict(zip(("print", "breakpoint", "error"), (passed > 0, passed > 1, passed > 2), strict=True))
        return {**probes, "mistakes": {"index": {"outcome": mistake}}}

    modes = {"PyTorch eager": mode(torch), "torch.compile": mode(1), "TensorFlow eager": mode(tensorflow)}
    return Evidence(facts={"modes": {**modes, "tf.function": mode(2), "tf.function + XLA": mode(0, "no error")}})


@pytest.mark.parametrize(
    ("torch", "tensorflow", "key"),
    [(3, 3, "holds-for-both"), (3, 2, "holds"), (2, 3, "does-not-hold"), (0, 0, "does-not-hold")],
)
def test_s4(torch: int, tensorflow: int, key: str) -> None:
    verdict = judged("S4", debugged(torch, tensorflow))
    assert verdict.key == key
    assert verdict.values["silent"] == "tf.function + XLA"
    drawn = claim_module("S4").plot(debugged(torch, tensorflow))
    assert isinstance(drawn, Grid)
    assert drawn.cells[-1] == ("failed", "failed", "silently wrong")


def code(pairs: dict[str, tuple[float, float, float]]) -> dict[str, Any]:
    """Make the readings and facts of pairs, whose ratios are those of tokens, nodes and names."""
    sides = {
        pair: {
            "pytorch": {
                "tokens": round(tokens * 1000),
                "nodes": round(nodes * 1000),
                "names": ["a"] * round(names * 100),
            },
            "tensorflow": {"tokens": 1000, "nodes": 1000, "names": ["b"] * 100},
        }
        for pair, (tokens, nodes, names) in pairs.items()
    }
    return {"readings": twins.readings(sides), "facts": {"code": sides}}


(SHORT,) = twins.SHORTEST


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [
        ((0.8, 1, 0.8), (0.83, 1, 0.83), HOLDS),
        ((0.8, 1, 0.8), (0.84, 1, 0.83), DEPENDS),
        ((0.8, 1, 0.8), (1.5, 1, 1.5), DEPENDS),
        ((0.84, 1, 0.8), (1.5, 1, 1.5), NOT),
    ],
)
def test_s8(one: tuple[float, float, float], other: tuple[float, float, float], outcome: Ruling) -> None:
    evidence = Evidence(**code({"definition": one, SHORT: other}))
    assert judged("S8", evidence).outcome is outcome
    drawn = claim_module("S8").plot(evidence)
    assert isinstance(drawn, Dumbbells)
    assert len(drawn.points) == 4


def numpy_like(torch: int, tensorflow: int) -> dict[str, Any]:
    def works(count: int) -> dict[str, Any]:
        return {"works": {f"{at}": "ok" if at < count else "AttributeError" for at in range(40)}}

    counts = {"torch": torch, "tf": 5, "keras.ops": tensorflow, "tf.experimental.numpy": 40, SWITCHED_ON: 40}
    return {name: works(count) for name, count in counts.items()}


@pytest.mark.parametrize(
    ("last", "torch", "key"),
    [
        ((0.8, 0.8, 1), 36, "holds"),
        ((0.8, 0.8, 1), 35, "depends-code"),
        ((0.8, 0.84, 1), 36, "depends-numpy"),
        ((1.3, 1.3, 1), 36, "depends-numpy"),
        ((1.3, 1.3, 1), 35, "depends-code"),
    ],
)
def test_l1(last: tuple[float, float, float], torch: int, key: str) -> None:
    made = code({"definition": (0.8, 0.8, 1), "loop": last})
    evidence = Evidence(made["readings"], {**made["facts"], "numpy": numpy_like(torch, 30)})
    assert judged("L1", evidence).key == key
    assert isinstance(claim_module("L1").plot(evidence), Dumbbells)


def test_l1_does_not_hold() -> None:
    made = code({"definition": (0.84, 0.8, 1), "loop": (1.3, 1.3, 1)})
    evidence = Evidence(made["readings"], {**made["facts"], "numpy": numpy_like(30, 30)})
    assert judged("L1", evidence).outcome is NOT


def styles(sequential: float, functional: float, cell: str = "ok") -> Evidence:
    ratios = {"Sequential": sequential, "Functional": functional, "subclassed": 0.5}
    names = ("Sequential", "Functional", "subclassed", "TensorFlow without Keras", "PyTorch")
    training = ("training: fit", "training: TensorFlow without Keras", "training: PyTorch")
    return Evidence(
        tuple(ClaimReading(f"{style}: {one}", ratio) for style, ratio in ratios.items() for one in ("tokens", "nodes")),
        {
            "cells": {style: {"SavedModel": {"outcome": "ok"}, "ONNX": {"outcome": cell}} for style in ratios},
            "sizes": {name: {"tokens": 10, "nodes": 5, "names": 3} for name in (*names, *training)},
            "uncalled": "refused",
        },
    )


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        (styles(0.5, 0.83), HOLDS),
        (styles(0.5, 0.84), DEPENDS),
        (styles(0.84, 0.84), NOT),
        (styles(0.5, 0.5, "refused"), DEPENDS),
    ],
)
def test_v1(evidence: Evidence, outcome: Ruling) -> None:
    assert judged("V1", evidence).outcome is outcome
    assert isinstance(claim_module("V1").plot(evidence), Grid)


def sessions(new: int, as_written: str) -> Evidence:
    frozen = {"saved_model.load": "OSError: there is none", "wrap_function": 0.5}
    rest = {"v1.layers": "AttributeError: gone", "frozen": frozen, "served": {"old": 0.5}, "loaded": 0.5, "truth": 0.5}
    return Evidence(facts={"sessions": {"old": 1, "new": new}, "as written": as_written, **rest})


@pytest.mark.parametrize(
    ("new", "as_written", "outcome"),
    [(0, "AttributeError: placeholder", NOT), (0, "ok", DEPENDS), (1, "AttributeError: placeholder", HOLDS)],
)
def test_l2(new: int, as_written: str, outcome: Ruling) -> None:
    assert judged("L2", sessions(new, as_written)).outcome is outcome
    assert claim_module("L2").plot(sessions(new, as_written)) is None

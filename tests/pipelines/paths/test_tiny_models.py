"""Every path takes models of other shapes than mnist_cnn: two inputs, whole numbers, free lengths, no labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lacking import skipped_for_want
from tiny_models import TINY, PackagedTiny

from pipelines.artifacts import reference
from pipelines.artifacts.parity import certify
from pipelines.base.errors import NotPossible
from pipelines.paths.choose import Choice, choose
from pipelines.stages.functions import compared

UNFIT = {
    ("embedding", "litert:int8"): "random inputs: signal to quantisation noise",
    ("embedding", "openvino:int8"): "smallest cosine of a row",
    ("two_inputs", "openvino:int8"): "evaluation inputs: signal to quantisation noise",
    ("plain", "openvino:int8"): "evaluation inputs: signal to quantisation noise",
}
"""Artifacts that quantisation makes too inexact, and a breach: one layer averages no errors out, as a network does."""
CANNOT = {
    ("embedding", choice.name): f"{maker} (converts|takes) one shape. Received: a free length"
    for path, maker in (("litert-torch", "litert-torch"), ("litert-web", "LiteRT.js"))
    for choice in choose([path])
}
"""Models that a path cannot represent, and why."""


SLOW = ("aotinductor:freezing", "aotinductor:int8", "torchserve:aotinductor")
"""Variants of a path that takes all models otherwise: the C++ compiler takes a quarter of a minute for each of them."""


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        pytest.param(name, choice, id=f"{name}-{choice.name}")
        for name in TINY
        for choice in choose([])
        if name == "two_inputs" or choice.name not in SLOW
    ],
)
def test_it_is_packaged_and_proved(name: str, choice: Choice, tmp_path: Path, packaged_tiny: PackagedTiny) -> None:
    from pipelines.paths import path_module

    model = TINY[name]
    reference.compute(model, tmp_path / "reference.npz")
    answers = reference.read(tmp_path / "reference.npz")
    if (name, choice.name) in CANNOT:
        with pytest.raises(NotPossible, match=CANNOT[name, choice.name]):
            packaged_tiny(name, choice)
        return
    with skipped_for_want():
        payload = packaged_tiny(name, choice)
    with skipped_for_want(), path_module(choice.card.name).open(payload, 1) as session:
        found = compared(session.predict, answers, model.spec)
    certificate = certify(
        artifact_sha256="",
        basis_sha256="",
        answers_sha256="",
        reference="",
        tolerance=choice.chosen.tolerance,
        task=model.spec.task,
        from_user=False,
        calls=found.calls,
        flips=found.flips,
        accuracy=found.accuracy,
        reference_accuracy=None,
    )
    expected = UNFIT.get((name, choice.name))
    assert certificate.passed == (expected is None), certificate.breaches
    assert expected is None or any(breach.startswith(expected) for breach in certificate.breaches)
    sets = {call.probe.set for call in found.calls}
    assert sets == ({"random"} if model.rows is None else {"evaluation", "random"})
    lengths = {call.probe.inputs["ids"].shape[1] for call in found.calls if "ids" in call.probe.inputs}
    assert lengths == ({2, 21, 40} if model.spec.lengths else set())


def test_the_tiny_models_twins_are_equal() -> None:
    for model in TINY.values():
        inputs = model.spec.draw(3, {name: high for name, (_, high) in model.spec.lengths.items()}, 4)
        found, expected = model.form("keras")(inputs), model.reference(inputs)
        for name, want in expected.items():
            assert np.abs(np.asarray(found[name]) - want).max() < 1e-4 * np.abs(want).max()

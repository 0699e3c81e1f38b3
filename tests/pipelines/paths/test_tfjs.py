"""TensorFlow.js in a real browser: equal to the trained model, and whole without a network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsers import NEEDS_BROWSER
from web_paths import check_answers, check_payload

from models.trained import TrainedModel
from pipelines.base.errors import NotPossible, UserError
from pipelines.paths import path_module, tfjs
from pipelines.results import IN_BROWSER


class Gelu:
    """A model with the exact GELU, which TensorFlow computes by Erfc."""

    name = "gelu"

    def form(self, name: str) -> Any:  # noqa: ARG002
        import keras

        values = keras.Input((4,), name="values")
        return keras.Model({"values": values}, {"result": keras.layers.Activation("gelu")(values)})


@pytest.fixture(scope="module", params=list(tfjs.CARD.variants))
def packaged(request: pytest.FixtureRequest, packaged_once: Callable[[str], Path]) -> tuple[str, Path]:
    return request.param, packaged_once(f"tfjs:{request.param}")


def test_the_card() -> None:
    assert path_module("tfjs").CARD is tfjs.CARD
    assert tfjs.CARD.ways == (IN_BROWSER,)
    assert next(iter(tfjs.CARD.variants)) == "fp32"
    heavy = {"torch", "tensorflow", "keras", "onnx", "onnxruntime", "ai_edge_litert"}
    code = f"import sys, pipelines.paths.tfjs; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("threads", [pytest.param(number, marks=NEEDS_BROWSER) for number in (1, 2)])
def test_it_computes_what_the_trained_model_does(
    packaged: tuple[str, Path], trained: TrainedModel, threads: int
) -> None:
    variant, folder = packaged
    check_answers(tfjs, folder, variant, trained, threads)


def test_the_payload_is_what_a_site_ships(packaged: tuple[str, Path]) -> None:
    variant, folder = packaged
    backend = "webgl" if variant == "webgl" else "wasm"
    check_payload(folder, f"tfjs-{backend}", {"model.json", "group1-shard1of1.bin"})
    assert str(Path.cwd()) not in (folder / "mnist_cnn" / "model.json").read_text()


def test_an_unknown_variant_is_refused(trained: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown variant of "):
        tfjs.package(trained, tmp_path, "torch")


def test_an_operator_that_the_runtime_has_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotPossible, match=r"TensorFlow\.js has no operator Erfc"):
        tfjs.package(Gelu(), tmp_path, "fp32")


def test_the_same_model_gives_the_same_bytes(
    trained: TrainedModel, packaged_once: Callable[[str], Path], tmp_path: Path
) -> None:
    tfjs.package(trained, tmp_path, "fp32")
    for file in ("model.json", "group1-shard1of1.bin"):
        first, second = (folder / "mnist_cnn" / file for folder in (packaged_once("tfjs:fp32"), tmp_path))
        assert first.read_bytes() == second.read_bytes()

"""ONNX Runtime Web in a real browser: equal to the trained model, and whole without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from browsers import NEEDS_BROWSER
from web_paths import check_answers, check_payload

from models.trained import TrainedModel
from pipelines.base.errors import UserError
from pipelines.paths import onnxruntime_web, path_module
from pipelines.results import IN_BROWSER


@pytest.fixture(scope="module", params=list(onnxruntime_web.CARD.variants))
def packaged(
    request: pytest.FixtureRequest, trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    onnxruntime_web.package(trained, folder, request.param)
    return request.param, folder


def test_the_card() -> None:
    assert path_module("onnxruntime-web").CARD is onnxruntime_web.CARD
    assert onnxruntime_web.CARD.ways == (IN_BROWSER,)
    assert next(iter(onnxruntime_web.CARD.variants)) == "fp32"
    heavy = {"torch", "tensorflow", "keras", "onnx", "onnxruntime", "ai_edge_litert"}
    code = f"import sys, pipelines.paths.onnxruntime_web; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("threads", [pytest.param(number, marks=NEEDS_BROWSER) for number in (1, 2)])
def test_it_computes_what_the_trained_model_does(
    packaged: tuple[str, Path], trained: TrainedModel, threads: int
) -> None:
    variant, folder = packaged
    check_answers(onnxruntime_web, folder, variant, trained, threads)


def test_the_payload_is_what_a_site_ships(packaged: tuple[str, Path]) -> None:
    check_payload(packaged[1], "onnxruntime-web", {"model.onnx"})


def test_an_unknown_variant_is_refused(trained: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown variant of "):
        onnxruntime_web.package(trained, tmp_path, "torch")

"""The litert path: signatures, precisions, and what calibration may see."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from models.trained import TrainedModel
from pipelines.paths import litert


@pytest.fixture(scope="module")
def rows(cli: Any, trained: TrainedModel) -> dict[str, dict[str, Any]]:
    found = cli.json("package", trained.name, "litert")["artifacts"]
    assert [row["status"] for row in found] == ["ok"] * 4
    return {row["variant"]: row for row in found}


def interpreter(row: dict[str, Any]) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_path=str(Path(row["folder"]) / "payload" / "mnist_cnn" / "model.tflite"))


@pytest.mark.parametrize("variant", litert.CARD.variants)
def test_every_variant_keeps_the_signature(rows: dict[str, dict[str, Any]], variant: str) -> None:
    runner = interpreter(rows[variant]).get_signature_runner("serving_default")
    (image,), (logits,) = runner.get_input_details().items(), runner.get_output_details().items()
    assert (image[0], image[1]["dtype"]) == ("image", np.float32)
    assert (logits[0], logits[1]["dtype"]) == ("logits", np.float32)
    assert runner(image=np.zeros((5, 28, 28), np.float32))["logits"].shape == (5, 10)


def test_smaller_precisions_are_smaller_files(rows: dict[str, dict[str, Any]]) -> None:
    size = {name: row["size_bytes"] for name, row in rows.items()}
    assert size["fp16"] < 0.6 * size["fp32"]
    assert size["int8-dynamic"] < 0.35 * size["fp32"]
    assert size["int8"] < 0.35 * size["fp32"]


def dtypes(row: dict[str, Any]) -> list[type]:
    return [tensor["dtype"] for tensor in interpreter(row).get_tensor_details()]


def test_int8_computes_in_int8_and_dynamic_only_stores_it(rows: dict[str, dict[str, Any]]) -> None:
    assert np.int8 not in dtypes(rows["fp32"])
    assert np.float16 in dtypes(rows["fp16"])
    # The static variant's activations are int8 too: many more tensors than its four weights.
    assert dtypes(rows["int8-dynamic"]).count(np.int8) == 4
    assert dtypes(rows["int8"]).count(np.int8) > 8


class _Guarded(TrainedModel):
    """A model whose evaluation set must not be looked at."""

    def evaluation(self) -> NoReturn:
        raise AssertionError("calibration looked at the test data")


def test_calibration_never_sees_the_test_data(trained: TrainedModel, tmp_path: Path) -> None:
    guarded = _Guarded(trained.spec, trained.framework, trained.weights, trained.sha256)
    litert.package(guarded, tmp_path, "int8")
    assert (tmp_path / "mnist_cnn" / "model.tflite").stat().st_size > 10_000
    test = {row.tobytes() for row in trained.evaluation().inputs["image"]}
    calibration = trained.calibration().inputs["image"]
    assert len(calibration) == 256
    assert sum(row.tobytes() in test for row in calibration) == 0


def test_quantised_variants_keep_the_accuracy(rows: dict[str, dict[str, Any]]) -> None:
    for name, row in rows.items():
        certificate = row["certificate"]
        assert certificate["passed"], name
        assert certificate["accuracy"] >= certificate["reference_accuracy"] - 0.01, name

"""ExecuTorch: what is in the program, and its bound of the batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.mnist_cnn import SPEC
from models.trained import TrainedModel
from pipelines.paths import executorch
from serving.open_inference.runtimes import DoesNotFit


@pytest.fixture(scope="module", params=list(executorch.CARD.variants))
def packaged(request: pytest.FixtureRequest, packaged_once: Callable[[str], Path]) -> tuple[str, Path]:
    return request.param, packaged_once(f"executorch:{request.param}")


def test_xnnpack_computes_it(packaged: tuple[str, Path]) -> None:
    from executorch.runtime import Runtime

    _, folder = packaged
    program = Runtime.get().load_program(folder / "mnist_cnn" / "model.pte")
    method = program.load_method("forward")
    assert method is not None
    assert method.metadata.num_inputs() == method.metadata.num_outputs() == 1
    assert b"XnnpackBackend" in (folder / "mnist_cnn" / "model.pte").read_bytes()


def test_any_order_of_batches(packaged: tuple[str, Path], trained: TrainedModel) -> None:
    """Small after large and large after small: the runtime plans its memory for the largest."""
    variant, folder = packaged
    images = trained.evaluation().inputs["image"]
    with executorch.open(folder, 1) as session:
        alone = session.predict({"image": images[:1]})["logits"]
        for rows in (SPEC.max_batch, 1, 16, 2, 100, 3):
            outputs = session.predict({"image": images[:rows]})["logits"]
            assert outputs.shape == (rows, 10)
            assert np.abs(outputs[0] - alone[0]).max() < (1e-4 if variant == "fp32" else 1.0)
        with pytest.raises(DoesNotFit):
            session.predict({"image": images[: SPEC.max_batch + 2]})
        assert np.array_equal(session.predict({"image": images[:1]})["logits"], alone)

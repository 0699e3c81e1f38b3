"""Packages a cheap network over a large input for one path: ``python benchmarks/pictures.py PATH FOLDER``.

``pictures`` is a mean over squares of 32x32 pixels and a dense layer, for float32 (N, 224, 224, 3): 602,112 bytes a
row, and hardly any work for the model, so that the transport of the bytes is measured. The path's own code
packages it; FOLDER gets ``payload`` and the path's own answers, as an artifact has them. Each path has its own
process, because TensorFlow and PyTorch never share one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from models.dataset import Dataset
from models.spec import BATCH, ImagePreprocessing, ModelSpec, TensorSpec, Uniform
from models.task import Classes
from pipelines.artifacts.artifact import PAYLOAD
from pipelines.paths import path_module, tolerance_for
from pipelines.stages import functions

if TYPE_CHECKING:
    from models.model import Model

SIDE, SQUARE, CLASSES = 224, 32, 10
FEATURES = (SIDE // SQUARE) ** 2 * 3

SPEC = ModelSpec(
    name="pictures",
    title="a cheap network over 224x224x3",
    inputs=(TensorSpec("image", "float32", (BATCH, SIDE, SIDE, 3), Uniform(0, 1)),),
    outputs=(TensorSpec("logits", "float32", (BATCH, CLASSES)),),
    task=Classes(),
    preprocessing=ImagePreprocessing(SIDE, SIDE, 3, 0.0, 255.0, 0),
    rate_per_s=10.0,
)


class Pictures:
    """Offers what the paths need of a trained model, with fixed random weights."""

    spec, name = SPEC, SPEC.name

    def __init__(self) -> None:
        draw = np.random.default_rng(7)
        self._weights = draw.normal(size=(FEATURES, CLASSES)).astype("float32")
        self._rows = draw.random((functions.ANSWER_ROWS, SIDE, SIDE, 3), "float32")

    def form(self, name: str) -> Any:
        return {"torch": self._torch_module, "keras": self._keras_model}[name]()

    def _torch_module(self) -> Any:
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.dense = nn.Linear(FEATURES, CLASSES, bias=False)

            def forward(self, image: torch.Tensor) -> torch.Tensor:
                means = nn.functional.avg_pool2d(image.permute(0, 3, 1, 2), SQUARE)
                return self.dense(means.permute(0, 2, 3, 1).flatten(1))

        net = Net()
        net.dense.weight.data = torch.from_numpy(self._weights.T.copy())
        return net.eval()

    def _keras_model(self) -> Any:
        import keras
        from keras import layers

        image = keras.Input((SIDE, SIDE, 3), name="image", dtype="float32")
        means = layers.Flatten(name="flatten")(layers.AveragePooling2D(SQUARE, name="means")(image))
        dense = layers.Dense(CLASSES, use_bias=False, name="dense")
        model = keras.Model({"image": image}, {"logits": dense(means)})
        dense.set_weights([self._weights])
        return model

    def calibration(self) -> Dataset:
        return Dataset({"image": self._rows}, np.zeros(len(self._rows), "int64"))

    def reference(self) -> np.ndarray:
        """Returns the outputs for the rows, by numpy alone."""
        squares = self._rows.reshape(-1, SIDE // SQUARE, SQUARE, SIDE // SQUARE, SQUARE, 3)
        return np.asarray(squares.mean((2, 4), dtype="float64").reshape(-1, FEATURES) @ self._weights)


def package(path: str, folder: Path) -> None:
    """Write the payload of a path's first variant and its answers. Raises SystemExit if they are wrong."""
    module, model = path_module(path), Pictures()
    variant = next(iter(module.CARD.variants))
    payload = folder / PAYLOAD
    payload.mkdir(parents=True)
    module.package(cast("Model", model), payload, variant)
    predict = module.open(payload, 1).predict
    rows = model.calibration().inputs
    off = float(np.abs(predict(rows)["logits"] - model.reference()).max())
    if off > (tolerance_for(path, variant, SPEC, None).atol or 1e-4):  # some are judged by ratios only
        raise SystemExit(f"{path} computes something else: {off:.1e} off")
    functions._save_answers(predict, rows, folder / functions.ANSWERS)


if __name__ == "__main__":
    package(sys.argv[1], Path(sys.argv[2]))

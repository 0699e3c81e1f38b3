"""Models of shapes that mnist_cnn has not, small enough to be packaged in a second: fixed random weights."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from models.dataset import Dataset
from models.spec import BATCH, Integers, ModelSpec, OneOf, TensorSpec, Uniform
from models.task import Classes, Plain, Vectors

RNG = np.random.default_rng(5)
WEIGHTS = RNG.normal(size=(7, 3)).astype("float32")
TABLE = RNG.normal(size=(50, 8)).astype("float32")


@dataclass(frozen=True)
class TinyModel:
    """A model of the paths' contract without training."""

    spec: ModelSpec
    torch_form: Callable[[], Any]
    keras_form: Callable[[], Any]
    rows: int | None = None
    """Rows of the evaluation set; None: it has none."""
    sha256 = "0" * 64

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def forms(self) -> Collection[str]:
        return ("torch", "keras")

    def form(self, name: str) -> Any:
        return {"torch": self.torch_form, "keras": self.keras_form}[name]()

    def evaluation(self) -> Dataset | None:
        return None if self.rows is None else Dataset(self.spec.draw(self.rows, {}, 2))

    def calibration(self) -> Dataset:
        return Dataset(self.spec.draw(64, {name: high for name, (_, high) in self.spec.lengths.items()}, 3))

    def reference(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        with torch.inference_mode():
            found = self.form("torch")(*(torch.from_numpy(inputs[tensor.name]) for tensor in self.spec.inputs))
        outputs = found if isinstance(found, tuple) else (found,)
        return {tensor.name: one.numpy() for tensor, one in zip(self.spec.outputs, outputs, strict=True)}


def named(name: str, sha256: str = "0" * 64) -> Any:
    """Return what the key of an artifact takes of a model."""
    return SimpleNamespace(name=name, sha256=sha256, requires=())


def _torch(forward: Callable[..., Any]) -> Callable[[], Any]:
    """Make a module whose buffers are the fixed weights."""

    def build() -> Any:
        import torch

        class Network(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("weights", torch.from_numpy(WEIGHTS))
                self.register_buffer("table", torch.from_numpy(TABLE))

        Network.forward = forward
        return Network().eval()

    return build


def _sums(self: Any, left: Any, right: Any) -> Any:
    import torch

    return torch.cat([left, right], 1) @ self.weights


def _mean(self: Any, ids: Any, mask: Any) -> Any:
    import torch

    kept = mask.to(self.table.dtype).unsqueeze(2)
    return (torch.nn.functional.embedding(ids, self.table) * kept).sum(1) / kept.sum(1).clamp(min=1)


def _two_outputs(self: Any, values: Any) -> Any:
    return values @ self.weights, values.sum(1)


def _keras_sums() -> Any:
    import keras
    from keras import layers

    left, right = (keras.Input((size,), name=name) for name, size in (("left", 4), ("right", 3)))
    dense = layers.Dense(3, use_bias=False, name="dense")
    scores = dense(layers.Concatenate(name="joined")([left, right]))
    dense.set_weights([WEIGHTS])
    return keras.Model({"left": left, "right": right}, {"scores": scores})


def _keras_mean() -> Any:
    import keras
    from keras import layers, ops

    ids, mask = (keras.Input((None,), name=name, dtype="int64") for name in ("ids", "mask"))
    table = layers.Embedding(50, 8, name="table")
    kept = ops.expand_dims(ops.cast(mask, "float32"), 2)
    vector = ops.sum(table(ids) * kept, 1) / ops.maximum(ops.sum(kept, 1), 1.0)
    table.set_weights([TABLE])
    return keras.Model({"ids": ids, "mask": mask}, {"vector": vector})


def _keras_two_outputs() -> Any:
    import keras
    from keras import layers, ops

    values = keras.Input((7,), name="values")
    dense = layers.Dense(3, use_bias=False, name="dense")
    outputs = {"product": dense(values), "total": ops.sum(values, 1)}
    dense.set_weights([WEIGHTS])
    return keras.Model({"values": values}, outputs)


TWO_INPUTS = TinyModel(
    ModelSpec(
        name="two_inputs",
        title="two inputs, classes without names, fewer rows than a load test needs",
        inputs=(
            TensorSpec("left", "float32", (BATCH, 4), Uniform(-1, 1)),
            TensorSpec("right", "float32", (BATCH, 3), Uniform(0, 255)),
        ),
        outputs=(TensorSpec("scores", "float32", (BATCH, 3)),),
        task=Classes(),
        rate_per_s=100,
    ),
    _torch(_sums),
    _keras_sums,
    rows=7,
)
EMBEDDING = TinyModel(
    ModelSpec(
        name="embedding",
        title="whole numbers of any length, a vector, no evaluation set",
        inputs=(
            TensorSpec("ids", "int64", (BATCH, "length"), Integers(0, 49)),
            TensorSpec("mask", "int64", (BATCH, "length"), OneOf((0, 1))),
        ),
        outputs=(TensorSpec("vector", "float32", (BATCH, 8)),),
        task=Vectors(),
        rate_per_s=100,
        lengths={"length": (2, 40)},
    ),
    _torch(_mean),
    _keras_mean,
)
PLAIN = TinyModel(
    ModelSpec(
        name="plain",
        title="plain numbers, two outputs of different ranks",
        inputs=(TensorSpec("values", "float32", (BATCH, 7), Uniform(-2, 2)),),
        outputs=(TensorSpec("product", "float32", (BATCH, 3)), TensorSpec("total", "float32", (BATCH,))),
        task=Plain(),
        rate_per_s=100,
    ),
    _torch(_two_outputs),
    _keras_two_outputs,
    rows=64,
)
TINY = {model.name: model for model in (TWO_INPUTS, EMBEDDING, PLAIN)}

PackagedTiny = Callable[[str, Any], Path]
"""Takes the name of a tiny model and a choice; returns the payload. Raises NotPossible."""

"""Makes small model files of every kind, each by the framework that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TABLE = 50


@dataclass(frozen=True, slots=True)
class Honest:
    """The files of one folder: the same kind of model (numbered words, and eight numbers) in every form."""

    keras: Path
    pictures: Path
    saved_model: Path
    texts: Path
    first: Path
    pt2: Path
    free: Path
    onnx: Path
    external: Path

    @property
    def all(self) -> dict[str, Path]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def make(folder: Path) -> Honest:
    """Write all files."""
    return Honest(*keras_files(folder), first_file(folder), *pt2_files(folder), *onnx_files(folder))


def keras_files(folder: Path) -> tuple[Path, Path, Path, Path]:
    """Write what Keras makes."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    ids, extra = keras.Input((None,), dtype="int32", name="ids"), keras.Input((8,), name="extra")
    hidden = layers.LSTM(6)(layers.Embedding(TABLE, 8)(ids))
    logits = layers.Dense(4, name="logits")(layers.Concatenate()([hidden, extra]))
    other = layers.Dense(2, activation="gelu")(hidden)
    model = keras.Model({"ids": ids, "extra": extra}, {"logits": logits, "other": other})
    model.save(folder / "two.keras")
    model.export(folder / "two_saved", verbose=False)
    pictures = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Rescaling(1 / 255.0),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    pictures.save(folder / "pictures.keras")
    words = layers.TextVectorization(output_sequence_length=5, vocabulary=["a", "b", "c"])
    texts = keras.Sequential(
        [keras.Input((), dtype="string"), words, layers.Embedding(10, 3), layers.GlobalAveragePooling1D()]
    )
    texts.export(folder / "texts_saved", verbose=False)
    return folder / "two.keras", folder / "pictures.keras", folder / "two_saved", folder / "texts_saved"


def first_file(folder: Path, *, resources: bool = True) -> Path:
    """Write what TensorFlow 1 makes: a graph that holds its saver, and another one that made the weights.

    Without ``resources``, its variables are of the old kind.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        values = v1.placeholder(tf.float32, (None, 8), "values")
        first = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3)
        weights = v1.get_variable("weights", initializer=first, use_resource=resources)
        scores = tf.nn.softmax(tf.matmul(values, weights))
        session.run(v1.global_variables_initializer())
        v1.train.Saver()
        v1.saved_model.simple_save(session, str(folder / "first_saved"), {"values": values}, {"scores": scores})
    return folder / "first_saved"


def pt2_files(folder: Path) -> tuple[Path, Path]:
    """Write what torch.export makes."""
    import torch
    from torch.export import Dim, export, save

    torch.manual_seed(1)

    class Words(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.last = torch.nn.Embedding(TABLE, 8), torch.nn.Linear(8, 4)
            self.register_buffer("scale", torch.ones(4))

        def forward(self, ids: Any, mask: Any) -> Any:
            chosen = self.table(ids) * mask.unsqueeze(-1)
            return {"logits": self.last(chosen.mean(1)) * self.scale, "sum": chosen.sum(1) / (ids.shape[1] // 2 + 1)}

    rows, length = Dim("rows", max=64), Dim("length", min=3, max=128)
    example = (torch.zeros(2, 6, dtype=torch.int64), torch.ones(2, 6))
    shapes = ({0: rows, 1: length}, {0: rows, 1: length})
    save(export(Words().eval(), example, dynamic_shapes=shapes), folder / "two.pt2")
    free = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten(2)).eval()
    dynamic = ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)
    save(export(free, (torch.zeros(2, 3, 16, 16),), dynamic_shapes=dynamic), folder / "free.pt2")
    return folder / "two.pt2", folder / "free.pt2"


def onnx_files(folder: Path) -> tuple[Path, Path]:
    """Write one graph, with its weights in the file and beside it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    table = numpy_helper.from_array(rng.normal(size=(TABLE, 8)).astype("float32"), "table")
    last = numpy_helper.from_array(rng.normal(size=(16, 4)).astype("float32"), "last")
    axis = numpy_helper.from_array(np.asarray([1], "int64"), "axis")
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["chosen"]),
        helper.make_node("ReduceMean", ["chosen", "axis"], ["mean"], keepdims=0),
        helper.make_node("Concat", ["mean", "extra"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "last"], ["logits"]),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "length"])
    extra = helper.make_tensor_value_info("extra", TensorProto.FLOAT, ["n", 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph(nodes, "words", [ids, extra], [logits], [table, last, axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "two.onnx")
    (folder / "apart").mkdir()
    apart = folder / "apart" / "two.onnx"
    onnx.save(model, apart, save_as_external_data=True, location="weights.bin", size_threshold=100)
    return folder / "two.onnx", apart

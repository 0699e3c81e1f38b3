"""Models of transformers, scikit-learn, TensorFlow 1 and Keras 2, and the ones that onnx's own wheel brings."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn
from torch.export import Dim

OPSET = 18
SHIPPED = ("light_squeezenet", "light_shufflenet")
"""Known networks in onnx's test data, with constants for weights: of one row, and of an old opset."""


class Sentence(nn.Module):
    """A BERT that returns a tensor."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, ids: Any, mask: Any) -> Any:
        return self.bert(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]


def bert(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=500, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128
    )
    batch, length = Dim("batch", min=1, max=64), Dim("length", min=4, max=64)
    example = (torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64))
    shapes = ({0: batch, 1: length}, {0: batch, 1: length})
    program = torch.export.export(Sentence(BertModel(config)).eval(), example, dynamic_shapes=shapes)
    torch.export.save(program, folder / "bert.pt2")


def of_scikit_learn(folder: Path) -> None:
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    values, classes = load_iris(return_X_y=True)
    for name, estimator in {
        "logistic": LogisticRegression(max_iter=1000),
        "forest": RandomForestClassifier(20, random_state=0),
        "boosting": GradientBoostingClassifier(n_estimators=20, random_state=0),
        "perceptron": MLPClassifier(max_iter=2000, random_state=0),
    }.items():
        fitted = estimator.fit(values, classes)
        made = to_onnx(fitted, values[:1].astype(np.float32), options={"zipmap": False}, target_opset=OPSET)
        (folder / f"{name}.onnx").write_bytes(made.SerializeToString())


def shipped(folder: Path) -> None:
    data = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    for name in SHIPPED:
        shutil.copyfile(data / f"{name}.onnx", folder / f"{name}.onnx")


def of_tensorflow_1(folder: Path) -> None:
    import tensorflow as tf

    v1, rng = tf.compat.v1, np.random.default_rng(3)
    with tf.Graph().as_default(), v1.Session() as session:
        values = v1.placeholder(tf.float32, (None, 8), "values")
        weights = v1.get_variable("weights", initializer=rng.normal(size=(8, 3)).astype(np.float32))
        scores = tf.matmul(tf.nn.relu(values), weights)
        session.run(v1.global_variables_initializer())
        place = str(folder / "tensorflow_1_saved")
        v1.saved_model.simple_save(session, place, {"values": values}, {"scores": scores})


def of_keras_2(folder: Path) -> None:
    import tf_keras

    tf_keras.utils.set_random_seed(3)
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            layers.Conv2D(8, 3, activation="relu", input_shape=(16, 16, 3)),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
        ]
    )
    model.save(folder / "keras_2_saved", save_format="tf")


def main(folder: Path) -> None:
    bert(folder)
    of_scikit_learn(folder)
    shipped(folder)
    of_tensorflow_1(folder)
    of_keras_2(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

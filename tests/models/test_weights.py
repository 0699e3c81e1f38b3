"""The layout rules between PyTorch and Keras, and the file that holds weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import weights
from models.mnist_cnn import data, keras_net, torch_net
from models.trained import TrainedModel


def test_the_twin_agrees_on_the_whole_test_set(trained: TrainedModel) -> None:
    import torch

    test = trained.evaluation()
    with torch.inference_mode():
        reference = trained.form("torch")(torch.from_numpy(test.inputs["image"])).numpy()
    twin = np.asarray(trained.form("keras")(test.inputs, training=False)["logits"])
    assert len(test) == 1000
    assert np.abs(reference - twin).max() < 1e-4


def test_weights_survive_the_way_through_keras(trained: TrainedModel) -> None:
    state = weights.read(trained.weights)
    back = weights.from_keras(trained.form("keras"))
    assert back.keys() == state.keys()
    assert all(np.array_equal(back[name], state[name]) for name in state)


def test_depthwise_layout() -> None:
    import keras
    import torch

    module = torch.nn.Sequential()
    module.add_module("depth", torch.nn.Conv2d(4, 4, 3, padding=1, groups=4))
    image = keras.Input((8, 8, 4))
    twin = keras.Model(image, keras.layers.DepthwiseConv2D(3, padding="same", name="depth")(image))
    weights.into_keras(weights.from_torch(module), twin)
    rows = np.random.default_rng(0).random((2, 8, 8, 4), np.float32)
    expected = module(torch.from_numpy(rows.transpose(0, 3, 1, 2))).detach().numpy().transpose(0, 2, 3, 1)
    assert np.abs(np.asarray(twin(rows)) - expected).max() < 1e-5


def test_weights_that_do_not_fit_are_refused() -> None:
    state = weights.from_torch(torch_net.build())
    missing = {name: array for name, array in state.items() if name != "conv1.weight"}
    for into, network in ((weights.into_torch, torch_net.build()), (weights.into_keras, keras_net.build())):
        with pytest.raises(weights.WeightsError, match=r"conv1\.weight"):
            into(missing, network)
        with pytest.raises(weights.WeightsError, match="unexpected"):
            into({**state, "extra.weight": np.zeros(3, np.float32)}, network)
        with pytest.raises(weights.WeightsError, match=r"conv1\.weight"):
            into({**state, "conv1.weight": np.zeros((2, 1, 3, 3), np.float32)}, network)


def test_the_same_weights_make_the_same_file(tmp_path: Path) -> None:
    state = weights.from_torch(torch_net.build())
    for name, arrays in (("a", state), ("b", dict(reversed(state.items())))):
        weights.save(arrays, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_split_is_fixed_disjoint_and_complete() -> None:
    first, second = data.load(), data.load()
    assert (len(first.train), len(first.test)) == (4000, 1000)
    assert np.array_equal(first.test.inputs["image"], second.test.inputs["image"])
    rows = {row.tobytes() for row in first.train.inputs["image"]}
    # A handful of digits may stand twice in the source; the split itself shares no index.
    assert sum(row.tobytes() in rows for row in first.test.inputs["image"]) < 5
    assert first.test.inputs["image"].min() == 0.0
    assert first.test.inputs["image"].max() == 1.0
    assert set(np.unique(first.test.labels)) == set(range(10))

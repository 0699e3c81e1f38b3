"""The network with its published weights, and its twin, on real photographs."""

from __future__ import annotations

import numpy as np
import pytest

from models import weights
from models.efficientnet_lite0 import data, keras_net, published, torch_net
from models.published import members

# Top-1 class and its logit, from the network of PyPI's efficientnet_lite_pytorch 0.1.0 with the same weights.
# PNG files only: what a JPEG file decodes to depends on the decoder's version.
GOLDEN = {
    "astronaut": (560, 6.2795),  # football helmet
    "chelsea": (282, 9.2560),  # tiger cat
    "coffee": (967, 11.4004),  # espresso
    "motorcycle_left": (665, 7.9051),  # moped
}


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
    return published.state(members(published.WHEEL, published.MEMBERS))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    names = list(data.photographs())
    return data.load().test.inputs["image"][[names.index(name) for name in GOLDEN]]


@pytest.fixture(scope="module")
def logits(state: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    import torch

    net = torch_net.build()
    weights.into_torch(state, net)
    with torch.inference_mode():
        return np.asarray(net.eval()(torch.from_numpy(images)))


def test_the_network_answers_as_the_published_one(logits: np.ndarray) -> None:
    assert [int(row.argmax()) for row in logits] == [number for number, _ in GOLDEN.values()]
    assert logits.max(1) == pytest.approx([logit for _, logit in GOLDEN.values()], abs=1e-3)


def test_the_twin_answers_as_the_network(state: dict[str, np.ndarray], images: np.ndarray, logits: np.ndarray) -> None:
    twin = keras_net.build()
    weights.into_keras(state, twin)
    assert np.abs(np.asarray(twin({"image": images}, training=False)["logits"]) - logits).max() < 1e-4


def test_the_weights_are_complete(state: dict[str, np.ndarray]) -> None:
    """The published network has 4,652,008 parameters."""
    parameters = [array.size for name, array in state.items() if "running" not in name]
    assert sum(parameters) == 4_652_008
    assert {array.dtype for array in state.values()} == {np.dtype(np.float32)}

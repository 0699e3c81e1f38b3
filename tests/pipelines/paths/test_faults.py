"""Faults in a network fail the tolerance of every variant, however coarse the variant is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models.trained import TrainedModel
from pipelines.artifacts.parity import Probe, certify, compare
from pipelines.paths import PATHS, Tolerance, path_module

ROWS = 256
TOLERANCES = {
    f"{path}:{name}": variant.tolerance for path in PATHS for name, variant in path_module(path).CARD.variants.items()
}


def epsilon(network, images):
    network.bn1.eps = network.bn2.eps = network.bn3.eps = 1e-5
    return images


def weights(network, images):
    network.conv1.weight.data *= 1.05
    return images


def dead_channel(network, images):
    """The channel that is active most: a dead one of no use is no fault."""
    import torch

    with torch.no_grad():
        first = torch.nn.functional.max_pool2d(torch.relu(network.bn1(network.conv1(images.unsqueeze(1)))), 2)
        busiest = int(torch.relu(network.bn2(network.conv2(first))).mean((0, 2, 3)).argmax())
    network.bn2.weight.data[busiest] = network.bn2.bias.data[busiest] = 0
    return images


def shifted(network, images):
    return images.roll(1, 2)


def mirrored(network, images):
    return images.flip(2)


def scaled(network, images):
    """Pixels divided by 256 instead of 255: the smallest fault, which quantisation hides."""
    return images * (255 / 256)


FAULTS = (epsilon, weights, dead_channel, shifted, mirrored, scaled)
HIDDEN = {
    ("scaled", name)
    for name in (
        *("litert:int8", "litert:int8-dynamic", "litert-torch:int8", "onnxruntime:int8"),
        *("openvino:bf16", "openvino:int8", "executorch:int8", "aotinductor:int8"),
        *("onnxruntime-web:int8", "litert-web:int8", "litert-web:int8-dynamic"),
    )
}


def passed_by(trained: TrainedModel, change: Callable) -> set[str]:
    """Name the variants whose tolerance the changed network passes."""
    import torch

    network = trained.form("torch")
    images = trained.evaluation().inputs["image"][:ROWS]
    expected = trained.reference({"image": images})
    with torch.no_grad():
        received = {"logits": network(change(network, torch.from_numpy(images))).numpy()}
    call, flips = compare(Probe("evaluation", ROWS, 0, {}, expected), received, trained.spec.task)

    def passed(tolerance: Tolerance) -> bool:
        return certify(
            artifact_sha256="",
            basis_sha256="",
            answers_sha256="",
            reference="",
            tolerance=tolerance,
            task=trained.spec.task,
            from_user=False,
            calls=[call],
            flips=flips,
            accuracy=None,
            reference_accuracy=None,
        ).passed

    return {name for name, tolerance in TOLERANCES.items() if passed(tolerance)}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_fails_every_variant_that_does_not_hide_it(trained: TrainedModel, fault: Callable) -> None:
    assert passed_by(trained, fault) == {name for hidden, name in HIDDEN if hidden == fault.__name__}


def test_the_same_network_passes_all(trained: TrainedModel) -> None:
    assert passed_by(trained, lambda _, images: images) == set(TOLERANCES)

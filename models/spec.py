"""Describes a model apart from any framework: its tensors, its labels and the picture it expects.

Nothing here imports a framework, so that a command can describe a model in milliseconds.
"""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass
from typing import Any

from models import MODELS


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named tensor of a signature.

    ``shape`` holds ``None`` where a dimension is free; dimension 0 is the batch.
    ``dtype`` is numpy's name of the element type, for example ``float32``.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class ImagePreprocessing:
    """The steps from a decoded picture (uint8, 0..255) to one input tensor: ``(pixel - offset) / scale``.

    ``channels`` is 1 for greyscale (the tensor then has no channel dimension) or 3 for RGB. ``ground`` is the grey
    (0..255) behind the subjects of the training data: a picture's transparent parts show it.
    """

    height: int
    width: int
    channels: int
    offset: float
    scale: float
    ground: int


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The contract that every path of a model keeps.

    ``rate_per_s`` is the load that the ``server`` scenario offers when the user names none: one
    rate for all paths, so that their latencies can be compared, and low enough for the slowest
    of them on two cores.
    """

    name: str
    title: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    preprocessing: ImagePreprocessing
    rate_per_s: float

    def signature(self) -> dict[str, list[dict[str, Any]]]:
        """Return the inputs and outputs as plain data, for a manifest."""
        return {
            "inputs": [asdict(tensor) for tensor in self.inputs],
            "outputs": [asdict(tensor) for tensor in self.outputs],
        }


def spec_of(name: str) -> ModelSpec:
    """Return the spec of a model without importing a framework. Raises KeyError for an unknown name."""
    spec = importlib.import_module(MODELS[name]).SPEC
    assert isinstance(spec, ModelSpec)  # noqa: S101 - a bug of the model's package
    return spec

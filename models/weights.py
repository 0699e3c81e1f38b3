"""Stores weights in one safetensors file, and converts their layouts between PyTorch and Keras.

The file keeps PyTorch's names and layouts (``layer.weight``); Keras layers carry the same names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras
    from torch import nn


@dataclass(frozen=True, slots=True)
class Rule:
    """``keras`` variable = ``torch`` tensor with its axes permuted by ``axes`` (None: unchanged)."""

    keras: str
    torch: str
    axes: tuple[int, ...] | None = None


# Layouts: PyTorch keeps convolutions as (out, in, h, w), Keras as (h, w, in, out); depthwise ones are
# (channels, 1, h, w) and (h, w, channels, 1), dense layers (out, in) and (in, out).
RULES: dict[str, tuple[Rule, ...]] = {
    "Conv2D": (Rule("kernel", "weight", (2, 3, 1, 0)), Rule("bias", "bias")),
    "DepthwiseConv2D": (Rule("kernel", "weight", (2, 3, 0, 1)), Rule("bias", "bias")),
    "Dense": (Rule("kernel", "weight", (1, 0)), Rule("bias", "bias")),
    "Embedding": (Rule("embeddings", "weight"),),
    "LayerNormalization": (Rule("gamma", "weight"), Rule("beta", "bias")),
    "BatchNormalization": (
        Rule("gamma", "weight"),
        Rule("beta", "bias"),
        Rule("moving_mean", "running_mean"),
        Rule("moving_variance", "running_var"),
    ),
}


class WeightsError(Exception):
    """Weights do not fit the network."""


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(state: dict[str, np.ndarray], path: Path) -> None:
    """Write named arrays to a safetensors file; the same content gives the same bytes.

    The header carries no metadata, because safetensors writes the keys of metadata in no fixed order.
    """
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(state[name]) for name in sorted(state)}, path)
    path.chmod(0o644)  # safetensors makes it readable by its owner only, but other users may have to read it


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the named arrays of a safetensors file."""
    from safetensors.numpy import load_file

    return load_file(path)


def from_torch(module: nn.Module) -> dict[str, np.ndarray]:
    """Return a module's parameters and buffers, without the counters that only training needs."""
    return {
        name: tensor.detach().cpu().numpy()
        for name, tensor in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def into_torch(state: dict[str, np.ndarray], module: nn.Module) -> None:
    """Set a module's weights. Raises WeightsError when names or shapes differ."""
    import torch

    try:
        result = module.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()}, strict=False)
    except RuntimeError as error:
        raise WeightsError(str(error)) from error
    missing = [name for name in result.missing_keys if not name.endswith("num_batches_tracked")]
    _check(missing, result.unexpected_keys)


def from_keras(model: keras.Model) -> dict[str, np.ndarray]:
    """Return a Keras model's weights under PyTorch's names, in PyTorch's layouts."""
    state = {}
    for layer, rule in _pairs(model):
        array = np.asarray(getattr(layer, rule.keras))
        state[f"{layer.name}.{rule.torch}"] = array if rule.axes is None else array.transpose(np.argsort(rule.axes))
    return state


def into_keras(state: dict[str, np.ndarray], model: keras.Model) -> None:
    """Set a Keras model's weights. Raises WeightsError when names or shapes differ."""
    left = dict(state)
    missing = []
    for layer, rule in _pairs(model):
        name = f"{layer.name}.{rule.torch}"
        if name not in left:
            missing.append(name)
            continue
        array = left.pop(name)
        array = array if rule.axes is None else array.transpose(rule.axes)
        variable = getattr(layer, rule.keras)
        if tuple(variable.shape) != array.shape:
            raise WeightsError(
                f"{name}: expected shape {tuple(variable.shape)} in Keras' layout. Received: {array.shape}"
            )
        variable.assign(array)
    _check(missing, list(left))


def _pairs(model: keras.Model) -> list[tuple[keras.Layer, Rule]]:
    pairs = []
    for layer in model.layers:
        if not layer.weights:
            continue
        rules = RULES.get(type(layer).__name__)
        if rules is None:
            raise WeightsError(f"no layout rule for Keras layer {layer.name!r}. Received: {type(layer).__name__}")
        pairs += [(layer, rule) for rule in rules if getattr(layer, rule.keras) is not None]
    return pairs


def _check(missing: list[str], unexpected: list[str]) -> None:
    if missing or unexpected:
        raise WeightsError(f"weights do not fit the network: missing {missing}, unexpected {unexpected}")

"""Computes the reference's answers of a user's model: by the file's own runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from models.files.model import FileModel

Arrays = dict[str, np.ndarray]


def answers(model: FileModel, inputs: Arrays) -> Arrays:
    """Return the outputs of a model, one array a name; it is called with the spec's largest batch at most."""
    call = _OPENED.get(model.folder) or _OPENED.setdefault(model.folder, _WAYS[model.kind](model))
    rows, most = len(next(iter(inputs.values()))), model.spec.max_batch
    parts = [call({name: one[at : at + most] for name, one in inputs.items()}) for at in range(0, rows, most)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_keras(model: FileModel) -> Callable[[Arrays], Arrays]:
    network = model.form("keras")
    names = [tensor.name for tensor in model.spec.outputs]

    def call(inputs: Arrays) -> Arrays:
        found = network(inputs, training=False)
        return {name: np.asarray(found[name]) for name in names}

    return call


def _by_torch(model: FileModel) -> Callable[[Arrays], Arrays]:
    import torch

    module = model.form("torch")
    names = [tensor.name for tensor in model.spec.outputs]

    def call(inputs: Arrays) -> Arrays:
        with torch.no_grad():  # a program of torch.export may change its own buffers, which inference mode forbids
            found = module(*(torch.from_numpy(inputs[tensor.name]) for tensor in model.spec.inputs))
        outputs = found if isinstance(found, tuple) else (found,)
        return {name: one.numpy() for name, one in zip(names, outputs, strict=True)}

    return call


def _by_onnxruntime(model: FileModel) -> Callable[[Arrays], Arrays]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in model.spec.outputs]

    def call(inputs: Arrays) -> Arrays:
        found: list[Any] = session.run(names, inputs)
        return dict(zip(names, map(np.asarray, found), strict=True))

    return call


_WAYS: dict[str, Callable[[FileModel], Callable[[Arrays], Arrays]]] = {
    "keras": _by_keras,
    "saved_model": _by_keras,
    "pt2": _by_torch,
    "onnx": _by_onnxruntime,
}
_OPENED: dict[Path, Callable[[Arrays], Arrays]] = {}
"""The models that were called in this process, by their folders: loading one takes seconds."""

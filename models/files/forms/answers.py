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
    import tensorflow as tf

    network = model.form("keras")
    names = [tensor.name for tensor in model.spec.outputs]

    def call(inputs: Arrays) -> Arrays:
        found = network({name: tf.constant(one) for name, one in inputs.items()}, training=False)
        return {name: np.asarray(found[name]) for name in names}

    return call


def _by_torch(model: FileModel, *, free: bool = True) -> Callable[[Arrays], Arrays]:
    import torch

    from models.files.forms.as_torch import of_program

    module = of_program(model, free=free)
    names = [tensor.name for tensor in model.spec.outputs]

    def call(inputs: Arrays) -> Arrays:
        with torch.no_grad():  # a program of torch.export may change its own buffers, which inference mode forbids
            found = module(*(torch.from_numpy(inputs[tensor.name]) for tensor in model.spec.inputs))
        outputs = found if isinstance(found, tuple) else (found,)
        return {name: one.numpy() for name, one in zip(names, outputs, strict=True)}

    return call


def by_onnxruntime(model: FileModel, file: Path | None = None) -> Callable[[Arrays], Arrays]:
    """Return what answers by ONNX Runtime: the model's file, or another one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file or model.path), providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in model.spec.outputs]

    def call(inputs: Arrays) -> Arrays:
        found: list[Any] = session.run(names, inputs)
        return dict(zip(names, map(np.asarray, found), strict=True))

    return call


def fixed_and_free(model: FileModel, out: Path, batch: int) -> tuple[Callable[[Arrays], Arrays], ...]:
    """Return what answers by a file that takes ``batch`` rows, and by one that takes any number, written to ``out``."""
    if model.kind == "keras":
        from models.files.forms.as_keras import arranged, load, named

        loaded = load(model)

        def call(inputs: Arrays) -> Arrays:
            found = named(model, loaded(arranged(model, loaded, dict(inputs)), training=False))
            return {name: np.asarray(one) for name, one in found.items()}

        return call, _by_keras(model)
    if model.kind == "pt2":
        return _by_torch(model, free=False), _by_torch(model)
    from models.files.forms.as_onnx import write_free

    return by_onnxruntime(model), by_onnxruntime(model, write_free(model, out / model.path.name, batch))


_WAYS: dict[str, Callable[[FileModel], Callable[[Arrays], Arrays]]] = {
    "keras": _by_keras,
    "saved_model": _by_keras,
    "pt2": _by_torch,
    "onnx": by_onnxruntime,
}
_OPENED: dict[Path, Callable[[Arrays], Arrays]] = {}
"""The models that were called in this process, by their folders: loading one takes seconds."""

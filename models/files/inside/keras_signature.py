"""Reads the inputs and outputs of a Keras model out of its configuration."""

from __future__ import annotations

import re
from typing import Any

from models.files import RefusedFile
from models.files.inside.jsons import mapping
from models.files.inside.keras_config import objects, whole
from models.files.shapes import shape_of, values_of
from models.spec import Integers, TensorSpec, Uniform

UNCHANGED = "Activation|Softmax|ReLU|LeakyReLU|ELU|PReLU|Dropout|(Batch|Layer|Group|Unit)Normalization|Rescaling|Add"
"""The layers whose output has the shape of their input."""


def layers_of(config: dict[str, Any]) -> list[dict[str, Any]]:
    """List the layers of a Functional or Sequential model. Raises RefusedFile for a model of another class."""
    layers = mapping(config.get("config"), "config.json").get("layers")
    if not isinstance(layers, list) or not layers:
        raise RefusedFile(
            f"a Functional or Sequential model has a list of layers. Received: {config.get('class_name')}, whose code "
            "is not in the file. Export it as a SavedModel"
        )
    return [mapping(layer, "a layer of config.json") for layer in layers]


def inputs_of(config: dict[str, Any]) -> list[TensorSpec]:
    """Return the inputs with the names that the file gives them."""
    layers = layers_of(config)
    known = {str(layer["config"].get("name", layer.get("name"))): layer for layer in layers}
    wanted = config["config"].get("input_layers")
    if wanted is None:
        first = layers[0]["config"]
        sizes = first.get("batch_shape", first.get("batch_input_shape")) or config["config"].get("build_input_shape")
        if sizes is None:
            raise RefusedFile("a Sequential model has to say the shape of its input. Call it once before you save it")
        return [_input(str(first.get("name")), {**first, "batch_shape": sizes}, layers[1:2])]
    named = _flat(wanted)
    readers = {layer: [one for one in layers if layer in _inbound(one)] for layer in named.values()}
    return [_input(name, known[layer]["config"], readers[layer]) for name, layer in named.items()]


def _input(name: str, settings: dict[str, Any], readers: list[dict[str, Any]]) -> TensorSpec:
    dtype = "str" if (found := _dtype(settings)) == "string" else found
    values: Any = values_of(dtype)
    for reader in readers:
        own = reader.get("config", {})
        if reader.get("class_name") == "Embedding" and dtype != "str":
            values = Integers(0, whole(own.get("input_dim")) - 1)
        if reader.get("class_name") == "Rescaling" and isinstance(own.get("scale"), float) and own["scale"] > 0:
            shift = float(own.get("offset") or 0)
            low, high = (0.0 if shift >= 0 else -1 - shift) / own["scale"], (1 - shift) / own["scale"]
            values = Uniform(low, high) if dtype.startswith("float") else values
    sizes = settings.get("batch_shape", settings.get("batch_input_shape"))
    return TensorSpec(name, dtype, shape_of(sizes), values)


def outputs_of(config: dict[str, Any]) -> list[TensorSpec]:
    """Return the outputs; their shapes where the last layer is of a simple kind."""
    layers = layers_of(config)
    known = {str(layer["config"].get("name", layer.get("name"))): layer for layer in layers}
    wanted = config["config"].get("output_layers")
    named = _flat(wanted) if wanted is not None else {list(known)[-1]: list(known)[-1]}
    return [TensorSpec(name, _dtype(known[layer]["config"]), _output(known[layer])) for name, layer in named.items()]


def _output(layer: dict[str, Any]) -> tuple[int | str, ...]:
    own, kind = layer["config"], str(layer.get("class_name"))
    before = next(iter(_inbound(layer).values()), None) or (layer.get("build_config") or {}).get("input_shape")
    if isinstance(own.get("layers"), list):
        return outputs_of(layer)[0].shape
    if not isinstance(before, list) or not all(size is None or isinstance(size, int) for size in before):
        return shape_of(None)
    if kind == "Dense":
        return shape_of([*before[:-1], whole(own.get("units"))])
    return shape_of(before) if re.fullmatch(UNCHANGED, kind) else shape_of(None)


def _flat(wanted: Any) -> dict[str, str]:
    """Map the names of inputs or outputs to their layers: the keys of a mapping, else the layers' own names."""
    if isinstance(wanted, dict):
        return {str(key): str(layer[0]) for key, layer in wanted.items()}
    if len(wanted) == 3 and isinstance(wanted[0], str):
        return {wanted[0]: wanted[0]}
    return {str(layer[0]): str(layer[0]) for layer in wanted}


def _inbound(layer: dict[str, Any]) -> dict[str, Any]:
    """Map the names of the layers that a layer takes tensors from to those tensors' shapes."""
    tensors = (one["config"] for one in objects(layer.get("inbound_nodes")) if one["class_name"] == "__keras_tensor__")
    return {str(tensor["keras_history"][0]): tensor.get("shape") for tensor in tensors}


def _dtype(settings: dict[str, Any]) -> str:
    """Return the type that a layer computes in."""
    policy = settings.get("dtype") or "float32"
    name = policy["config"].get("name", "float32") if isinstance(policy, dict) else policy
    return str(name).removeprefix("mixed_").rpartition("_from_")[2]

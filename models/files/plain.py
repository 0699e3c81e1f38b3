"""Turns what was read of a file into plain data, which goes from process to process, and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from models.files import FileFacts
from models.spec import Integers, Mask, OneOf, TensorSpec, Uniform

VALUES = {kind.__name__.lower(): kind for kind in (Uniform, Integers, OneOf, Mask)}


def plain(facts: FileFacts) -> dict[str, Any]:
    """Return the facts as JSON data: values carry their kind, such as ``{"kind": "integers", "low": 0, "high": 9}``."""
    tensors = {key: [tensor_plain(tensor) for tensor in getattr(facts, key)] for key in ("inputs", "outputs")}
    return (
        {one.name: getattr(facts, one.name) for one in fields(facts)} | tensors | {"operators": dict(facts.operators)}
    )


def facts_of(data: dict[str, Any]) -> FileFacts:
    """Return the facts that :func:`plain` has made plain."""
    as_tuples = {key: tuple(data[key]) for key in ("guessed", "custom", "code", "warnings")}
    tensors = {key: tuple(map(tensor_of, data[key])) for key in ("inputs", "outputs")}
    lengths = {name: (low, high) for name, (low, high) in data["lengths"].items()}
    return FileFacts(**(data | as_tuples | tensors | {"lengths": lengths}))


def tensor_plain(tensor: TensorSpec) -> dict[str, Any]:
    """Return one tensor as JSON data."""
    values = tensor.values and {"kind": type(tensor.values).__name__.lower(), **asdict(tensor.values)}
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape), "values": values}


def tensor_of(data: dict[str, Any]) -> TensorSpec:
    """Return the tensor that :func:`tensor_plain` has made plain."""
    values = dict(data["values"] or {})
    kind = VALUES.get(values.pop("kind", ""))
    if "values" in values:
        values["values"] = tuple(values["values"])
    return TensorSpec(data["name"], data["dtype"], tuple(data["shape"]), kind(**values) if kind else None)

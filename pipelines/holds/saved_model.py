"""Reads a SavedModel: what its signatures compute, and the variables beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipelines.holds.totals import numbers_of, totals
from pipelines.results import Holds

ENDS = ("Const", "NoOp", "Placeholder")


def saved_model_holds(folder: Path) -> Holds:
    """Read the operations that signatures reach, in the graph and in its functions, each function once."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import op_def_registry

    content = (folder / "saved_model.pb").read_bytes()
    (meta,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    functions = {one.signature.name: one for one in meta.graph_def.library.function}
    outputs = [tensor.name for one in meta.signature_def.values() for tensor in one.outputs.values()]
    needed = _reached(outputs, {node.name: node for node in meta.graph_def.node})
    called = _called(needed, functions)
    nodes = [*needed, *(node for name in called for node in functions[name].node_def)]
    names = [node.op for node in nodes if node.op not in ENDS and node.op not in functions]
    marked = [functions[name].attr["_XlaMustCompile"].b for name in called if "_XlaMustCompile" in functions[name].attr]
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    sizes = [(types[name], math.prod(shape)) for name, shape in shapes.items()]
    sizes += [_size(node.attr["value"].tensor) for node in nodes if node.op == "Const"]
    compiler = {"compiled by": "XLA, at the first call"} if any(marked) else {}
    return Holds(
        weights=totals((kind.name, number * kind.size) for kind, number in sizes if kind != tf.string),
        operators=numbers_of(names),
        custom=tuple(sorted({name for name in names if op_def_registry.get(name) is None})),
        facts={**compiler, "tensorflow": meta.meta_info_def.tensorflow_version},
    )


def _reached(tensors: Iterable[str], nodes: dict[str, Any]) -> list[Any]:
    """List the nodes of the graph that tensors (``NODE:NUMBER``) come from, directly or through others."""
    found: dict[str, Any] = {}
    waiting = list(tensors)
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name and name not in found:  # the signature of the initialiser names no tensor
            found[name] = nodes[name]
            waiting += nodes[name].input
    return list(found.values())


def _called(nodes: Iterable[Any], functions: dict[str, Any]) -> list[str]:
    """Name the functions that nodes call, directly or through others."""
    found: dict[str, None] = {}
    waiting = list(_calls(nodes))
    while waiting:
        name = waiting.pop()
        if name in functions and name not in found:
            found[name] = None
            waiting += _calls(functions[name].node_def)
    return sorted(found)


def _calls(nodes: Iterable[Any]) -> Iterator[str]:
    for node in nodes:
        yield node.op
        for value in node.attr.values():
            yield value.func.name
            yield from (one.name for one in value.list.func)


def _size(tensor: Any) -> tuple[Any, int]:
    import tensorflow as tf

    return tf.dtypes.as_dtype(tensor.dtype), math.prod(one.size for one in tensor.tensor_shape.dim)

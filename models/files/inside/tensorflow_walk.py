"""Walks the graph of a SavedModel: what a signature reaches, and what its saver does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from models.files.inside.messages import decoded

SAVER = ("SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename")
"""Operators that touch files, of which each SavedModel has some: for its own saver alone."""


def attribute(node: Any, key: str) -> Any:
    """Return an attribute of a node; None without."""
    return next((entry.value for entry in node.attr if entry.key == key), None)


def reached(tensors: Iterable[str], nodes: dict[str, Any]) -> list[Any]:
    """List the nodes of the graph that tensors (``NODE:NUMBER``) come from, directly or through others."""
    found: dict[str, Any] = {}
    waiting = list(tensors)
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name in nodes and name not in found:
            found[name] = nodes[name]
            waiting += nodes[name].input
    return list(found.values())


def called(nodes: Iterable[Any], functions: dict[str, Any]) -> list[str]:
    """Name the functions that nodes call, directly or through others."""
    found: dict[str, None] = {}
    waiting = list(calls(nodes))
    while waiting:
        name = waiting.pop()
        if name in functions and name not in found:
            found[name] = None
            waiting += calls(functions[name].node_def)
    return list(found)


def calls(nodes: Iterable[Any]) -> Iterator[str]:
    """Yield the names of what nodes call, directly: functions, and operators."""
    for node in nodes:
        yield node.op
        for entry in node.attr:
            yield entry.value.func.name
            yield from (one.name for one in entry.value.list.func)


class Saver:
    """Tells which operators that touch files do so for the saver alone.

    A loader calls signatures, initialisers and the functions of objects, and restores the variables from the place
    that it feeds. Nobody saves. So an operator that writes is in nothing that any of these reaches; one that restores
    is reached by restoring alone, and reads from the place that is fed, or given to its function.
    """

    def __init__(self, meta: Any, nodes: dict[str, Any], functions: dict[str, Any]) -> None:
        self._functions = functions
        self._fed = meta.saver_def.filename_tensor_name.partition(":")[0]
        begun = reached(_entered(meta), nodes)
        restoring = reached([meta.saver_def.restore_op_name], nodes)
        self._begun = {node.name for node in begun}
        self._restoring = {node.name for node in restoring}
        self._called = set(called(begun, functions)) | _of_objects(meta, functions)
        self._restored = set(called(restoring, functions))

    def has(self, node: Any, place: str) -> bool:
        """Tell it of a node in a function, or in the graph if ``place`` is empty."""
        where = place or node.name
        begun, restoring = (self._called, self._restored) if place else (self._begun, self._restoring)
        if where in begun:
            return False
        if where not in restoring:
            return True
        given = [one.name for one in self._functions[place].signature.input_arg] if place else [self._fed]
        return node.op == "RestoreV2" and bool(node.input) and node.input[0].partition(":")[0] in given


def _entered(meta: Any) -> Iterator[str]:
    """Name the tensors and nodes that a loader, or who calls a signature, begins with."""
    for signature in meta.signature_def:
        for tensor in (*signature.value.inputs, *signature.value.outputs):
            yield from _tensors(tensor.value)
    for one in meta.collection_def:
        yield from one.value.node_list.value
        if one.key == "local_variables":  # a loader initialises them where there is no operator of initialisation
            for raw in one.value.bytes_list.value:
                yield decoded("tensorflow", "VariableDef", raw, "a local variable").initializer_name


def _tensors(info: Any) -> Iterator[str]:
    sparse = info.coo_sparse
    yield from (info.name, sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name)
    for one in info.composite_tensor.components:
        yield from _tensors(one)


def _of_objects(meta: Any, functions: dict[str, Any]) -> set[str]:
    """Name the functions that objects have, such as those that make and fill a table, and the ones these call."""
    named = {one.key for one in meta.object_graph_def.concrete_functions}
    for one in meta.object_graph_def.nodes:
        named |= {*one.function.concrete_functions, one.bare_concrete_function.concrete_function_name}
    named &= set(functions)
    return named | set(called((node for name in named for node in functions[name].node_def), functions))

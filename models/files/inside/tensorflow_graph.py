"""Says what in the graph of a SavedModel reaches outside."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from models.files.inside.tensorflow_walk import SAVER, Saver, attribute, called, calls

ASSETS = "saved_model_assets"
RESOURCES = ("HashTableV2", "MutableHashTableV2", "MutableDenseHashTableV2", "VarHandleOp", "MutexV2")
"""Operators that make what a function is given besides a file's name."""
OF_VARIABLES = {"AssignVariableOp", "ReadVariableOp", "VarIsInitializedOp"}
FROM_TEXT = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")
STREAMS = (b"stdout", b"stderr", b"log(info)", b"log(warning)", b"log(error)")
REACH_OUTSIDE = {
    "PyFunc": "runs Python code",
    "PyFuncStateless": "runs Python code",
    "EagerPyFunc": "runs Python code",
    "ReadFile": "reads a file",
    "WholeFileReaderV2": "reads files",
    "MatchingFiles": "lists files",
    "ImmutableConst": "reads a file",
    "WriteFile": "writes a file",
    "DumpTensor": "writes a file",
    "SaveV2": "writes a file outside of the saver",
    "RestoreV2": "reads a file outside of the saver",
    "ShardedFilename": "names a file outside of the saver",
    "MergeV2Checkpoints": "moves files outside of the saver",
    "RemoteCall": "calls another machine",
    "RpcCall": "calls another machine",
    "RpcClient": "calls another machine",
    "RpcServer": "opens a port",
    "DebugIdentityV2": "writes files",
    "DebugIdentity": "sends tensors to an address",
    "Abort": "ends the process",
}


@cache
def computing() -> frozenset[str]:
    """Return the operators of TensorFlow that compute, and touch neither files, nor the network, nor Python."""
    return frozenset(resources.files("models.files").joinpath("tensorflow_operators.txt").read_text().split())


def outside(meta: Any) -> Iterator[str]:
    """Say which operators of a graph and of its functions do more than compute."""
    functions = {one.signature.name: one for one in meta.graph_def.library.function}
    nodes = {node.name: node for node in meta.graph_def.node}
    saver = Saver(meta, nodes, functions)
    for place, body in {"": meta.graph_def.node, **{name: one.node_def for name, one in functions.items()}}.items():
        for node in body:
            if len({entry.key for entry in node.attr}) != len(node.attr):  # the last one counts, and the first is read
                yield f"the operator {node.op[:80]} ({node.name[:80]!r}) has an attribute twice"
            if node.op in functions or node.op in computing() or (node.op in SAVER and saver.has(node, place)):
                if node.op == "PrintV2" and attribute(node, "output_stream").s not in STREAMS:
                    yield f"the operator PrintV2 ({node.name!r}) writes a file"
                continue
            does = REACH_OUTSIDE.get(node.op, "is none that slipway knows to do nothing but compute")
            yield f"the operator {node.op[:80]} ({node.name[:80]!r}) {does}"
    if not meta.asset_file_def and any(one.key == ASSETS for one in meta.collection_def):
        yield f"its assets are named in the collection {ASSETS}, which is not read"
    yield from _foreign_texts(meta, functions)


def _foreign_texts(meta: Any, functions: dict[str, Any]) -> Iterator[str]:
    """Say which tables are filled from a text file that is no asset of the SavedModel."""
    assets = {_node(one.tensor_info.name) for one in meta.asset_file_def}
    reads = {name for name, one in functions.items() if any(node.op in FROM_TEXT for node in one.node_def)}
    fill = reads | {name for name, one in functions.items() if reads & set(called(one.node_def, functions))}
    scopes = [
        (meta.graph_def.node, assets),
        *((one.node_def, {a.name for a in one.signature.input_arg}) for one in functions.values()),
    ]
    for body, known in scopes:
        made = {node.name: node for node in body}
        for node in body:
            if node.op in FROM_TEXT:
                given = node.input[1:2]
            elif fill & set(calls([node])):
                given = [one for one in node.input if not one.startswith("^")]
            else:
                continue
            if not all(_is_known(_node(name), known, made) for name in given):
                yield f"the table {node.name!r} is filled from a file that is no asset"


def _is_known(name: str, known: set[str], made: dict[str, Any]) -> bool:
    """Tell if what a table is filled by is an asset or an argument, a resource, or a variable that holds an asset."""
    source = made.get(name)
    if name in known or source is None:
        return name in known
    if source.op != "ReadVariableOp":
        return source.op in RESOURCES
    variable = _node(source.input[0])
    users = [node for node in made.values() if variable in map(_node, node.input)]
    stored = [_node(node.input[1]) for node in users if node.op == "AssignVariableOp"]
    return {node.op for node in users} <= OF_VARIABLES and bool(stored) and set(stored) <= known


def _node(name: str) -> str:
    """Return the node of a tensor, ``NODE:NUMBER``."""
    return name.partition(":")[0]

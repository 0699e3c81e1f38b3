"""Walks the graph of a SavedModel: what a signature reaches, and what reaches outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Any

SAVER = ("SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename")
"""Operators that touch files, of which each SavedModel has some: for its own saver alone."""
WRITERS = tuple(one for one in SAVER if one != "RestoreV2")
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


def attribute(node: Any, key: str) -> Any:
    """Return an attribute of a node; None without."""
    return next((entry.value for entry in node.attr if entry.key == key), None)


def outside(meta: Any) -> Iterator[str]:
    """Say which operators of a graph and of its functions do more than compute."""
    functions = {one.signature.name: one for one in meta.graph_def.library.function}
    nodes = {node.name: node for node in meta.graph_def.node}
    saving = [meta.saver_def.save_tensor_name.partition(":")[0], meta.saver_def.restore_op_name]
    of_saver = set(called([nodes[name] for name in saving if name in nodes], functions))
    # A function that anything else calls, too, is no function of the saver.
    of_saver -= set(called([node for name, node in nodes.items() if name not in saving], functions))
    allowed = _of_first_saver(meta, nodes)
    for place, body in {"": meta.graph_def.node, **{name: one.node_def for name, one in functions.items()}}.items():
        for node in body:
            in_saver = place in of_saver if place else node.name in allowed
            if node.op in functions or node.op in computing() or (node.op in SAVER and in_saver):
                if node.op == "PrintV2" and attribute(node, "output_stream").s not in STREAMS:
                    yield f"the operator PrintV2 ({node.name!r}) writes a file"
                continue
            does = REACH_OUTSIDE.get(node.op, "is none that slipway knows to do nothing but compute")
            yield f"the operator {node.op[:80]} ({node.name[:80]!r}) {does}"
    yield from _foreign_texts(meta, functions)


def _of_first_saver(meta: Any, nodes: dict[str, Any]) -> set[str]:
    """Name the nodes by which the saver of TensorFlow 1, whose place is the graph itself, touches files.

    A loader restores the variables from the place that it feeds, and nobody saves them: so a node that restores reads
    from that place, one that writes is not reached by restoring, and neither by a signature, the initialisation or
    anything else outside of the saver.
    """
    saver = meta.saver_def
    saving, restoring = (
        {node.name for node in reached([name], nodes)} for name in (saver.save_tensor_name, saver.restore_op_name)
    )
    asked = [tensor.value.name for one in meta.signature_def for tensor in (*one.value.inputs, *one.value.outputs)]
    begun = [name for one in meta.collection_def for name in one.value.node_list.value]
    others = [name for name in nodes if name not in saving | restoring]
    elsewhere = {node.name for node in reached([*asked, *begun, *others], nodes)}
    fed = saver.filename_tensor_name.partition(":")[0]
    reads = {
        name
        for name in restoring - elsewhere
        if nodes[name].op == "RestoreV2" and nodes[name].input and nodes[name].input[0].partition(":")[0] == fed
    }
    return reads | {name for name in saving - restoring - elsewhere if nodes[name].op in WRITERS}


def _foreign_texts(meta: Any, functions: dict[str, Any]) -> Iterator[str]:
    """Say which tables are filled from a text file that is no asset of the SavedModel."""
    assets = {one.tensor_info.name.partition(":")[0] for one in meta.asset_file_def}
    fill = {name for name, one in functions.items() if any(node.op in FROM_TEXT for node in one.node_def)}
    scopes = [
        (meta.graph_def.node, set()),
        *((one.node_def, {a.name for a in one.signature.input_arg}) for one in functions.values()),
    ]
    for body, arguments in scopes:
        made = {node.name: node for node in body}
        for node in body:
            if node.op not in FROM_TEXT and not fill & set(_calls([node])):
                continue
            for source in (made.get(one.lstrip("^").partition(":")[0]) for one in node.input):
                if source is None or source.name in assets or source.name in arguments:
                    continue
                kind = attribute(source, "dtype")
                if source.op in ("Const", "Placeholder", "StringJoin", "AsString", "Identity") and (
                    kind is None or kind.type == STRING
                ):
                    yield f"the table {node.name!r} is filled from a file that is no asset"


STRING = 7
"""TensorFlow's number of the type of strings."""


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
    waiting = list(_calls(nodes))
    while waiting:
        name = waiting.pop()
        if name in functions and name not in found:
            found[name] = None
            waiting += _calls(functions[name].node_def)
    return list(found)


def _calls(nodes: Iterable[Any]) -> Iterator[str]:
    for node in nodes:
        yield node.op
        for entry in node.attr:
            yield entry.value.func.name
            yield from (one.name for one in entry.value.list.func)

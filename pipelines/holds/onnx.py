"""Reads an ONNX file: the nodes and constants of its graph, of the graphs inside nodes, and of its functions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.holds.totals import numbers_of, totals
from pipelines.results import Holds

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx


def onnx_holds(path: Path) -> Holds:
    """Read an ``.onnx`` file. Operators of other domains than ONNX's own are custom: ``DOMAIN::NAME``."""
    import onnx

    proto = onnx.load(path)
    nodes = [*_nodes(proto.graph.node), *(node for one in proto.functions for node in _nodes(one.node))]
    tensors = [*proto.graph.initializer]
    for node in nodes:
        for attribute in node.attribute:
            tensors += [attribute.t] if attribute.HasField("t") else []
            tensors += attribute.g.initializer
    names = [named(node.domain, node.op_type) for node in nodes if node.op_type != "Constant"]
    used = {node.domain for node in nodes}
    opsets = {f"opset {one.domain}".strip(): str(one.version) for one in proto.opset_import if one.domain in used}
    return Holds(
        weights=totals(_size(tensor) for tensor in tensors),
        operators=numbers_of(names),
        custom=tuple(sorted({name for name in names if "::" in name})),
        facts=dict(sorted({"IR version": str(proto.ir_version), **opsets}.items())),
    )


def named(domain: str, operator: str) -> str:
    """Name an operator, with its domain unless that is ONNX's own."""
    return operator if domain in ("", "ai.onnx") else f"{domain}::{operator}"


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs]:
                yield from _nodes(graph.node)


def _size(tensor: onnx.TensorProto) -> tuple[str, int]:
    import onnx

    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return dtype.name, math.prod(tensor.dims) * dtype.itemsize

"""Reads a TorchScript module (.pt)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pipelines.holds.exported import tensor_size
from pipelines.holds.totals import numbers_of, totals
from pipelines.results import Holds

OWN = ("aten", "prim", "quantized")
"""Namespaces of PyTorch's own operators."""
VALUES = ("prim::Constant", "prim::GetAttr")


def torchscript_holds(file: Path | IO[bytes]) -> Holds:
    """Read the operations of ``forward``, all calls put in their place; and parameters, buffers and constants."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(file, map_location="cpu")
    nodes = list(_nodes(module.inlined_graph))
    constants = [node.t("value") for node in nodes if node.hasAttribute("value") and node.kindOf("value") == "t"]
    names = [node.kind() for node in nodes if node.kind() not in VALUES]
    return Holds(
        weights=totals(tensor_size(one) for one in [*module.parameters(), *module.buffers(), *constants]),
        operators=numbers_of(names),
        custom=tuple(sorted({name for name in names if name.partition("::")[0] not in OWN})),
    )


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)

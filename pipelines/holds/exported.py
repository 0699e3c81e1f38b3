"""Reads a torch.export program (.pt2)."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from pipelines.holds.totals import numbers_of, totals
from pipelines.results import Holds

OWN = ("aten", "prim", "prims", "quantized_decomposed")
"""Namespaces of PyTorch's own operators."""


def exported_holds(file: Path | IO[bytes]) -> Holds:
    """Read the calls of a program's graph, and of the graphs inside it; and its parameters, buffers and constants."""
    import torch

    program = torch.export.load(file)
    graphs = [one.graph for one in program.graph_module.modules() if isinstance(one, torch.fx.GraphModule)]
    targets = [node.target for graph in graphs for node in graph.nodes if node.op == "call_function"]
    tensors = [*program.state_dict.values(), *program.constants.values()]
    return Holds(
        weights=totals(tensor_size(one) for one in tensors if isinstance(one, torch.Tensor)),
        operators=numbers_of(_name(target) for target in targets),
        custom=tuple(sorted({_name(one) for one in targets if getattr(one, "namespace", OWN[0]) not in OWN})),
        facts={"dialect": program.dialect},
    )


def tensor_size(tensor: Any) -> tuple[str, int]:
    """Return the type of a tensor's elements, and its size in bytes."""
    return str(tensor.dtype).removeprefix("torch."), tensor.numel() * tensor.element_size()


def _name(target: Any) -> str:
    """Name what a node calls: an operator (``aten.linear.default``), or a function of Python (``getitem``)."""
    return str(target) if hasattr(target, "namespace") else target.__name__

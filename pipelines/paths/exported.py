"""Exports a PyTorch network with torch.export: what several paths begin with."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.spec import BATCH

if TYPE_CHECKING:
    import torch
    from torch import nn

    from models.model import Model
    from models.spec import ModelSpec


def examples(spec: ModelSpec, batch: int = 2) -> tuple[torch.Tensor, ...]:
    """Return example inputs; the batch is 2 or more, because torch.export treats a size of 1 as a constant."""
    import torch

    free = {BATCH: batch, **{name: max(2, low) for name, (low, _) in spec.lengths.items()}}
    return tuple(torch.ones(tensor.shape_with(free), dtype=getattr(torch, tensor.dtype)) for tensor in spec.inputs)


def free_dimensions(spec: ModelSpec, max_batch: int | None = None) -> tuple[dict[int, Any], ...]:
    """Return the free dimensions of each input, {axis: torch.export.Dim}; those of one name are one.

    A batch of 1 is no free dimension.
    """
    import torch

    dims = {} if max_batch == 1 else {BATCH: torch.export.Dim(BATCH, min=1, max=max_batch)}
    for name, (low, high) in spec.lengths.items():
        dims[name] = torch.export.Dim(name, min=low, max=high)
    return tuple({axis: dims[size] for axis, size in enumerate(tensor.shape) if size in dims} for tensor in spec.inputs)


def export(module: nn.Module, spec: ModelSpec, max_batch: int | None = None) -> torch.export.ExportedProgram:
    """Export a network in evaluation mode; free dimensions of the spec stay free, the batch up to ``max_batch``, or so.

    A batch of 1 is fixed. Any other bound is one larger: ExecuTorch takes an example's size that is the bound for the
    only one, and plans for the example's size where it loses the bound.
    """
    import torch

    dimensions = free_dimensions(spec, max_batch + 1 if max_batch and max_batch > 1 else max_batch)
    program = torch.export.export(module, examples(spec, max_batch or 2), dynamic_shapes=dimensions)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # source lines, with paths of this machine
    return program


def torchscript(module: nn.Module, spec: ModelSpec, *, freeze: bool) -> bytes:
    """Trace a network in evaluation mode; ``freeze`` makes its weights constants, and folds what follows from them."""
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(module, examples(spec))
        torch.jit.save(torch.jit.freeze(traced) if freeze else traced, buffer)
    return buffer.getvalue()


def save_program(model: Model, place: Path) -> None:
    """Write the program of a model as ``model.pt2`` into a folder; free dimensions stay free."""
    import torch

    torch.export.save(export(model.form("torch"), model.spec), place / "model.pt2")

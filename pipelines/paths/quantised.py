"""Quantises a PyTorch network by PyTorch's own steps (pt2e): what ExecuTorch and Inductor share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.paths.exported import export

if TYPE_CHECKING:
    import torch

    from models.model import Model


def quantised(model: Model, quantizer: Any, max_batch: int | None = None) -> torch.nn.Module:
    """Return the network with the operations that ``quantizer`` puts in, calibrated on training data.

    ``max_batch`` is the largest batch of the program that is made of it (None: any); a batch of 1 is fixed.
    """
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    prepared = prepare_pt2e(export(model.form("torch"), model.spec, max_batch).module(), quantizer)
    rows, size = model.calibration(), max_batch or model.spec.max_batch
    # One batch of all rows, if it may be: over several, the observers take moving averages of the extremes.
    with torch.no_grad():
        for first in range(len(rows) if size == 1 else 1):
            part = slice(first, first + size)
            prepared(*(torch.from_numpy(rows.inputs[tensor.name][part]) for tensor in model.spec.inputs))
    made: torch.nn.Module = convert_pt2e(prepared)
    return made

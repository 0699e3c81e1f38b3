"""Runs a kernel of Triton on the processor, by Triton's interpreter. TensorFlow is never in that process."""

from __future__ import annotations

import os
from typing import Any

from pipelines.base.environments import Environment

ENVIRONMENT = Environment("triton", ("triton==3.7.1",))
ROWS, BLOCK = 1_000, 256


def add() -> dict[str, Any]:
    """Add two vectors by a kernel; return whether the sum is exact, and Triton's version."""
    os.environ["TRITON_INTERPRET"] = "1"  # it is read at the import
    import torch
    import triton

    from pipelines.claims.experiments.ecosystem.triton_source import add_kernel

    x, y = torch.arange(ROWS, dtype=torch.float32), torch.full((ROWS,), 0.5)
    out = torch.empty_like(x)
    add_kernel[(triton.cdiv(ROWS, BLOCK),)](x, y, out, ROWS, BLOCK)
    return {"exact": bool(torch.equal(out, x + y)), "version": triton.__version__, "cuda": torch.cuda.is_available()}

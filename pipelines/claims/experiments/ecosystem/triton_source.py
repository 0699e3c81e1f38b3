"""Holds a kernel as Triton's users write it. Triton reads its source, so its imports stand at the top: only a process
that runs it imports this module."""

import triton
import triton.language as tl


@triton.jit
def add_kernel(x, y, out, rows, BLOCK: tl.constexpr):  # noqa: N803 - Triton's constants
    """Add one block of two vectors."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < rows
    tl.store(out + at, tl.load(x + at, mask=inside) + tl.load(y + at, mask=inside), mask=inside)

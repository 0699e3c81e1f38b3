"""A program of torch.export, run by PyTorch."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.open_inference.runtimes import (
    Arrays,
    DoesNotFit,
    Loaded,
    NotLoadable,
    Tensor,
    check_counts,
    read_signature,
)

if TYPE_CHECKING:
    import numpy as np

PLATFORM = "pytorch_export"
TITLE = "PyTorch"
DISTRIBUTIONS = ("torch",)
NEEDED_MB = 450  # 432 at its peak
LOAD_ERRORS = (RuntimeError, OSError, ValueError, LookupError, TypeError, AssertionError, zipfile.BadZipFile)


def load(path: Path, threads: int) -> Loaded:
    """Load a ``.pt2`` file, beside its signature, with ``threads`` threads in this process."""
    import torch

    def read(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Callable[..., Any]:
        exported = torch.export.load(path)
        names = exported.graph_signature
        check_counts(path, (len(names.user_inputs), len(names.user_outputs)), (len(inputs), len(outputs)))
        # Shapes are checked by the signature, with better messages than the program's own guards have.
        program: Callable[..., Any] = exported.module(check_guards=False)
        return program

    return load_tensors(path, threads, read)


def load_tensors(
    path: Path, threads: int, read: Callable[[Sequence[Tensor], Sequence[Tensor]], Callable[..., Any]]
) -> Loaded:
    """Load a zip archive by ``read``, which returns a function of PyTorch's tensors in the signature's order."""
    import numpy as np
    import torch

    inputs, outputs = read_signature(path)
    torch.set_num_threads(threads)
    if not zipfile.is_zipfile(path):  # else PyTorch tries an older format, and logs why
        raise NotLoadable(f"{path} cannot be loaded: it is no whole zip archive")
    try:
        program = read(inputs, outputs)
    except LOAD_ERRORS as error:
        raise NotLoadable(f"{path} cannot be loaded: {' '.join(str(error).split())}") from error

    def run(arrays: Arrays, wanted: Sequence[str]) -> list[np.ndarray]:
        # PyTorch warns of arrays that cannot be written to, as those of a request's bytes.
        tensors = [torch.from_numpy(np.require(arrays[tensor.name], requirements="W")) for tensor in inputs]
        try:
            with torch.inference_mode():
                results = program(*tensors)
        except (RuntimeError, ValueError) as error:
            raise DoesNotFit(str(error)) from error
        found = (results,) if isinstance(results, torch.Tensor) else results
        named = {tensor.name: value.numpy() for tensor, value in zip(outputs, found, strict=True)}
        return [named[name] for name in wanted]

    return Loaded(inputs, outputs, run)

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
    writable,
)

if TYPE_CHECKING:
    import numpy as np

PLATFORM = "pytorch_export"
TITLE = "PyTorch"
DISTRIBUTIONS = ("torch",)
NEEDED_MB = 450  # 442 at its peak
MALLOCS = True
LOAD_ERRORS = (RuntimeError, OSError, ValueError, LookupError, TypeError, AssertionError, zipfile.BadZipFile)


def load(path: Path, threads: int) -> Loaded:
    """Load a ``.pt2`` file, beside its signature, with ``threads`` threads in this process."""
    import torch

    def read(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Callable[..., Any]:
        exported = torch.export.load(path)
        names = exported.graph_signature
        check_counts(path, (len(names.user_inputs), len(names.user_outputs)), (len(inputs), len(outputs)))
        # With its guards: without them PyTorch checks less, and takes longer, a tenth of a millisecond a call.
        program: Callable[..., Any] = exported.module()
        return program

    return load_tensors(path, threads, read)


def load_tensors(
    path: Path, threads: int, read: Callable[[Sequence[Tensor], Sequence[Tensor]], Callable[..., Any]]
) -> Loaded:
    """Load a zip archive by ``read``, which returns a function of PyTorch's tensors in the signature's order."""
    import torch

    inputs, outputs = read_signature(path)
    torch.set_num_threads(threads)
    if not zipfile.is_zipfile(path):  # else PyTorch tries an older format, and logs why
        raise NotLoadable(f"{path} cannot be loaded: it is no whole zip archive")
    try:
        program = read(inputs, outputs)
    except LOAD_ERRORS as error:
        raise NotLoadable(f"{path} cannot be loaded: {' '.join(str(error).split())}") from error

    taken = [tensor.name for tensor in inputs]
    places = {tensor.name: place for place, tensor in enumerate(outputs)}

    def run(arrays: Arrays, wanted: Sequence[str]) -> list[np.ndarray]:
        tensors = [torch.from_numpy(writable(arrays[name])) for name in taken]
        try:
            with torch.inference_mode():
                results = program(*tensors)
        except (RuntimeError, ValueError, AssertionError) as error:  # the last from a guard
            raise DoesNotFit(str(error)) from error
        found = (results,) if isinstance(results, torch.Tensor) else results
        return [found[places[name]].numpy() for name in wanted]

    return Loaded(inputs, outputs, run)

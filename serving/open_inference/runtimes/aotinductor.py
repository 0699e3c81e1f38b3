"""A shared library that Inductor compiled ahead of time, run by PyTorch."""

from __future__ import annotations

from pathlib import Path

from serving.open_inference.runtimes import Loaded, NotLoadable
from serving.open_inference.runtimes.torch_export import load_tensors
from serving.wire.compiled import NotRunnable, load_package

PLATFORM = "pytorch_aotinductor"
TITLE = "AOTInductor"
DISTRIBUTIONS = ("torch",)
NEEDED_MB = 450  # as a program of torch.export
MALLOCS = True


def load(path: Path, threads: int) -> Loaded:
    """Load an ``.aoti.pt2`` file, beside its signature, with ``threads`` threads in this process.

    Raises NotLoadable for one that was compiled for instructions that this processor lacks, too.
    """
    try:
        return load_tensors(path, threads, lambda *_: load_package(path))
    except NotRunnable as error:
        raise NotLoadable(str(error)) from error

"""A shared library that Inductor compiled ahead of time, run by PyTorch."""

from __future__ import annotations

import json
import platform
import zipfile
from pathlib import Path

from serving.open_inference.runtimes import Loaded, NotLoadable
from serving.open_inference.runtimes.torch_export import load_tensors

PLATFORM = "pytorch_aotinductor"
TITLE = "AOTInductor"
DISTRIBUTIONS = ("torch",)
NEEDED_MB = 450  # as a program of torch.export


def load(path: Path, threads: int) -> Loaded:
    """Load an ``.aoti.pt2`` file, beside its signature, with ``threads`` threads in this process.

    One that was compiled for instructions that this processor lacks is refused: it would crash.
    """
    import torch
    from torch.export.pt2_archive._package import AOTICompiledModel

    _check_processor(path)

    def read(*_: object) -> AOTICompiledModel:
        # aoti_load_package does this too, after it has run a C++ compiler to find out about the processor.
        return AOTICompiledModel(torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1))

    return load_tensors(path, threads, read)


def _check_processor(path: Path) -> None:
    from torch._inductor.cpu_vec_isa import x86_isa_checker

    machine, needs = compiled_for(path)
    if machine != platform.machine():
        raise NotLoadable(f"{path} is compiled for {machine}, and this is {platform.machine()}: package it here")
    missing = set(needs) - set(x86_isa_checker()) if machine in ("x86_64", "AMD64") else set()
    if missing:
        raise NotLoadable(f"{path} is compiled for a processor with {', '.join(sorted(missing))}: package it here")


def compiled_for(path: Path) -> tuple[str, tuple[str, ...]]:
    """Read the architecture and the sets of instructions that a package was compiled for. Raises NotLoadable."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("_metadata.json"))
            facts = json.loads(archive.read(name))
        return facts["AOTI_MACHINE"], tuple(facts["AOTI_CPU_ISA"].lower().split())
    except (OSError, zipfile.BadZipFile, StopIteration, ValueError, KeyError) as error:
        raise NotLoadable(f"{path} cannot be loaded: it does not tell what it is compiled for: {error!r}") from error

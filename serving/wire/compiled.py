"""Loads networks that Inductor compiled ahead of time (``.aoti.pt2``); refuses those compiled for other processors.

A copy of this file is inside the archives of TorchServe. It needs torch, and nothing of this project.
"""

from __future__ import annotations

import json
import platform
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class NotRunnable(Exception):
    """A file is no package of a compiled network, or one for other processors than this."""


def load_package(path: Path) -> Callable[..., list[torch.Tensor]]:
    """Load a package; the function takes the network's inputs in their order, and returns its outputs in theirs.

    One that was compiled for instructions that this processor lacks is refused: it would crash. Raises NotRunnable.
    """
    import torch

    check_processor(path)
    # torch._inductor.aoti_load_package does this too, after it has run a C++ compiler to find out about the
    # processor; and its function reads the structure of inputs and outputs again, as JSON, at each call.
    loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)
    return lambda *tensors: loader.boxed_run(list(tensors))


def check_processor(path: Path) -> None:
    """Raise NotRunnable if this processor lacks instructions that a package was compiled for."""
    from torch._inductor.cpu_vec_isa import x86_isa_checker

    machine, needs = compiled_for(path)
    if machine != platform.machine():
        raise NotRunnable(f"{path} is compiled for {machine}, and this is {platform.machine()}: package it here")
    missing = set(needs) - set(x86_isa_checker()) if machine in ("x86_64", "AMD64") else set()
    if missing:
        raise NotRunnable(f"{path} is compiled for a processor with {', '.join(sorted(missing))}: package it here")


def compiled_for(file: Path | IO[bytes]) -> tuple[str, tuple[str, ...]]:
    """Read the architecture and the sets of instructions that a package was compiled for. Raises NotRunnable."""
    try:
        with zipfile.ZipFile(file) as archive:
            name = next(name for name in archive.namelist() if name.endswith("_metadata.json"))
            facts = json.loads(archive.read(name))
        return facts["AOTI_MACHINE"], tuple(facts["AOTI_CPU_ISA"].lower().split())
    except (OSError, zipfile.BadZipFile, StopIteration, ValueError, KeyError) as error:
        raise NotRunnable(f"{file} cannot be loaded: it does not tell what it is compiled for: {error!r}") from error

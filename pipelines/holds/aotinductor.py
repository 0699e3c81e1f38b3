"""Reads AOTInductor's package: the source of its library, which lies beside the library, tells what is in it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import IO

from pipelines.holds.totals import numbers_of, totals
from pipelines.results import Holds
from serving.wire.compiled import compiled_for

CONSTANT = re.compile(r"\.dtype = cached_torch_dtype_(\w+);.*?\.data_size = (\d+);", re.DOTALL)
KERNEL = re.compile(r"^ +(cpp_fused_\w+?)(?:_\d+)?\(|(aoti_torch_(?:cpu|mkldnn|mkl)_\w+)\(", re.MULTILINE)


def aotinductor_holds(file: Path | IO[bytes]) -> Holds:
    """Read an ``.aoti.pt2`` file: calls of compiled and of PyTorch's own kernels; constants with their padding."""
    with zipfile.ZipFile(file) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".wrapper.cpp"))
        source = archive.read(name).decode()
    machine, instructions = compiled_for(file)
    return Holds(
        weights=totals((kind, int(size)) for kind, size in CONSTANT.findall(source)),
        operators=numbers_of(own or other for own, other in KERNEL.findall(source)),
        facts={"compiled for": ", ".join([machine, " ".join(instructions)])},
    )

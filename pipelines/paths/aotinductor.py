"""AOTInductor: PyTorch's compiler at work beforehand; the artifact is a shared library in a package.

The compiler writes the places of its sources into the library: the same model gives other bytes each time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import unknown
from pipelines.holds.aotinductor import aotinductor_holds
from pipelines.paths import Card, Session, Variant
from pipelines.paths.behind import PROTOCOLS, SERVER, model_file, model_folder, open_behind
from pipelines.paths.exported import export
from pipelines.paths.inductor import own_cache, require_compiler
from pipelines.results import Holds
from serving.open_inference.runtimes import RUNTIMES

if TYPE_CHECKING:
    from models.model import Model

REQUIRES = ("torch", "kserve")

CARD = Card(
    name="aotinductor",
    title="AOTInductor (PyTorch)",
    variants={
        "fp32": Variant("compiled ahead of time, float32", "torch", REQUIRES),
        "freezing": Variant("compiled ahead of time, with weights as constants", "torch", REQUIRES),
    },
    extra="aotinductor",
    server=SERVER,
    protocols=PROTOCOLS,
    sources=(
        *("serving.open_inference.runtimes.aotinductor", "serving.open_inference.runtimes.torch_export"),
        *("pipelines.paths.behind", "pipelines.paths.exported", "pipelines.paths.inductor"),
        *("pipelines.holds.aotinductor", "pipelines.holds.totals"),
    ),
)
OPTIONS: dict[str, dict[str, Any]] = {"fp32": {}, "freezing": {"freezing": True}}
BASELINES = {"AVX2": "x86-64-v3", "AVX512": "x86-64-v4"}
"""A processor's capability, and the compiler's name for all processors that have it."""


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.aoti.pt2`` with its signature, for processors like this one; free dimensions stay free.

    Raises UserError for an unknown variant, and NotPossible if there is no compiler.
    """
    import torch

    if variant not in OPTIONS:
        raise unknown("variant of aotinductor", variant, OPTIONS)
    require_compiler()
    options = {
        **OPTIONS[variant],
        # By default the number of threads is that of the machine that compiles, and so are all instructions,
        # also those that the package does not list.
        "cpp.dynamic_threads": True,
        "cpp.march": BASELINES.get(torch.backends.cpu.get_cpu_capability()),
    }
    place = model_folder(model, folder, signature=True)
    # The compiler freezes weights only where no gradients are wanted.
    with own_cache(), torch.no_grad():
        torch._inductor.aoti_compile_and_package(
            export(model.form("torch"), model.spec),
            package_path=str(place / "model.aoti.pt2"),
            inductor_configs=options,
        )


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    return aotinductor_holds(model_file(folder, RUNTIMES["aotinductor"]))


def open(folder: Path, threads: int) -> Session:
    """Load the library into PyTorch, with ``threads`` threads. Raises SlipwayError for one of another processor."""
    return open_behind("aotinductor", folder, threads)

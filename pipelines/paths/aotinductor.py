"""AOTInductor: PyTorch's compiler at work beforehand; the artifact is a shared library in a package.

The compiler writes the places of its sources into the library: the same model gives other bytes each time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import unknown
from pipelines.holds.aotinductor import aotinductor_holds
from pipelines.paths import Card, Session, Tolerance, Variant
from pipelines.paths.behind import PROTOCOLS, SERVER, model_file, model_folder, open_behind
from pipelines.paths.exported import export
from pipelines.paths.inductor import compile_ahead
from pipelines.paths.quantised import quantised
from pipelines.results import Holds
from serving.open_inference.runtimes import RUNTIMES

if TYPE_CHECKING:
    import torch

    from models.model import Model

REQUIRES = ("torch", "kserve")

CARD = Card(
    name="aotinductor",
    title="AOTInductor (PyTorch)",
    variants={
        "fp32": Variant("compiled ahead of time, float32", "torch", REQUIRES),
        "freezing": Variant("compiled ahead of time, with weights as constants", "torch", REQUIRES),
        "int8": Variant(
            "weights and activations in int8, calibrated on training data, compiled ahead of time",
            "torch",
            (*REQUIRES, "torchao"),
            Tolerance(min_sqnr_db=32, min_top1=0.98, min_cosine=0.999, judges_random=False),
            precision="int8",
        ),
    },
    extra="aotinductor",
    server=SERVER,
    protocols=PROTOCOLS,
    sources=(
        *("serving.open_inference.runtimes.aotinductor", "serving.open_inference.runtimes.torch_export"),
        *("serving.wire.compiled", "pipelines.paths.behind", "pipelines.paths.exported"),
        *("pipelines.paths.inductor", "pipelines.paths.quantised"),
        *("pipelines.holds.aotinductor", "pipelines.holds.totals"),
    ),
)
OPTIONS: dict[str, dict[str, Any]] = {"fp32": {}, "freezing": {"freezing": True}, "int8": {"freezing": True}}


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.aoti.pt2`` with its signature, for processors like this one; free dimensions stay free.

    Raises UserError for an unknown variant, and NotPossible if there is no compiler.
    """
    if variant not in OPTIONS:
        raise unknown("variant of aotinductor", variant, OPTIONS)
    place = model_folder(model, folder, signature=True)
    module = _quantised(model) if variant == "int8" else model.form("torch")
    compile_ahead(export(module, model.spec), place / "model.aoti.pt2", **OPTIONS[variant])


def _quantised(model: Model) -> torch.nn.Module:
    from torch import nn
    from torch._inductor.cpu_vec_isa import x86_isa_checker
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    # Processors without VNNI add two products in 16 bits, which activations of eight bits overflow: seven there. They
    # refuse what was compiled where there is VNNI.
    seven = "avx512_vnni" not in x86_isa_checker()
    settings = x86.get_default_x86_inductor_quantization_config(reduce_range=seven)
    quantizer = x86.X86InductorQuantizer().set_global(settings)
    # Of a convolution of one channel whose batch is free, Inductor 2.13 takes the output's channels to be first
    # (torch._inductor.mkldnn_ir). That holds in float32; the int8 kernel writes them last, and the next reads nonsense.
    for name, layer in model.form("torch").named_modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels == 1:
            quantizer.set_module_name_qconfig(name, None)
    return quantised(model, quantizer)


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    return aotinductor_holds(model_file(folder, RUNTIMES["aotinductor"]))


def open(folder: Path, threads: int) -> Session:
    """Load the library into PyTorch, with ``threads`` threads. Raises SlipwayError for one of another processor."""
    return open_behind("aotinductor", folder, threads)

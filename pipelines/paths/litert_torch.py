"""LiteRT from PyTorch: straight to a .tflite file, without TensorFlow. It has one shape: batches go row by row."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import NotPossible
from pipelines.holds.tflite import tflite_holds
from pipelines.paths import Card, Session, Tolerance, Variant
from pipelines.paths.behind import model_file, model_folder, open_behind
from pipelines.paths.exported import examples
from pipelines.paths.to_tflite import quantise
from pipelines.results import Holds
from serving.open_inference.runtimes import RUNTIMES

if TYPE_CHECKING:
    from torch import nn

    from models.model import Model
    from models.spec import ModelSpec

REQUIRES = ("torch", "litert-torch", "litert-converter", "ai-edge-litert")

CARD = Card(
    name="litert-torch",
    title="LiteRT from PyTorch (litert-torch)",
    variants={
        "fp32": Variant("flatbuffer, float32, one row a call", "torch", REQUIRES),
        "int8": Variant(
            "weights and activations in int8, calibrated on training data, one row a call",
            "torch",
            (*REQUIRES, "litert-quantizer"),
            Tolerance(min_sqnr_db=33, min_top1=0.98, min_cosine=0.999, judges_random=False),
            precision="int8",
        ),
    },
    extra="litert-torch",
    no_server="LiteRT is a library inside an application; it has no server, so it is measured in process",
    sources=(
        *("serving.open_inference.runtimes.litert", "pipelines.paths.behind", "pipelines.paths.exported"),
        *("pipelines.paths.to_tflite", "pipelines.holds.tflite", "pipelines.holds.totals"),
    ),
)


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.tflite`` with the signature ``serving_default``, for one row.

    Raises NotPossible for a model with free lengths.
    """
    if model.spec.lengths:
        raise NotPossible(f"litert-torch converts one shape. Received: a free {', '.join(model.spec.lengths)}")
    content = _converted(model, 1)
    if variant == "int8":
        # Calibrated in a file of the same tensors that takes all rows in one batch.
        content = quantise(content, variant, model, partial(_converted, model))
    (model_folder(model, folder) / "model.tflite").write_bytes(content)


def _converted(model: Model, rows: int) -> bytes:
    import litert_torch

    names = [tensor.name for tensor in model.spec.inputs]
    inputs = dict(zip(names, examples(model.spec, rows), strict=True))
    # Arguments and outputs by name, since the signature takes their names.
    edge: Any = litert_torch.convert(_named(model.form("torch"), model.spec).eval(), sample_kwargs=inputs)
    return bytes(edge.model_content())


def _named(module: nn.Module, spec: ModelSpec) -> nn.Module:
    """Return a module that takes the inputs by name and returns {output name: tensor}."""
    import torch

    class Named(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
            found = self.module(*(inputs[tensor.name] for tensor in spec.inputs))
            outputs = found if isinstance(found, tuple) else (found,)
            return {tensor.name: output for tensor, output in zip(spec.outputs, outputs, strict=True)}

    return Named()


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    return tflite_holds(model_file(folder, RUNTIMES["litert"]))


def open(folder: Path, threads: int) -> Session:
    """Load the flatbuffer into LiteRT's interpreter with ``threads`` threads. Raises SlipwayError."""
    return open_behind("litert", folder, threads)

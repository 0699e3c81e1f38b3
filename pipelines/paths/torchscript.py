"""TorchScript: PyTorch's former way out of Python, and the format that most files in use have."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.errors import unknown
from pipelines.holds.torchscript import torchscript_holds
from pipelines.paths import Card, Session, Variant
from pipelines.paths.behind import model_file, model_folder, session_of
from pipelines.paths.exported import torchscript
from pipelines.results import Holds

if TYPE_CHECKING:
    from models.model import Model
    from serving.open_inference.runtimes import Loaded

CARD = Card(
    name="torchscript",
    title="TorchScript (PyTorch)",
    variants={
        "traced": Variant("the operations of one call, float32", "torch", ("torch",)),
        "frozen": Variant("traced, with weights as constants", "torch", ("torch",)),
    },
    extra="torchscript",
    no_server="deprecated: TorchServe has it (torchserve:torchscript), and torch.export is its successor",
    sources=(
        *("pipelines.paths.behind", "pipelines.paths.exported", "serving.open_inference.runtimes.torch_export"),
        *("pipelines.holds.torchscript", "pipelines.holds.exported", "pipelines.holds.totals"),
    ),
)
FILE = "model.pt"


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.pt`` with its signature. Raises UserError for an unknown variant."""
    if variant not in CARD.variants:
        raise unknown("variant of torchscript", variant, CARD.variants)
    content = torchscript(model.form("torch"), model.spec, freeze=variant == "frozen")
    (model_folder(model, folder, signature=True) / FILE).write_bytes(content)


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    return torchscript_holds(model_file(folder, [FILE]))


def open(folder: Path, threads: int) -> Session:
    """Load the module into PyTorch, with ``threads`` threads in this process. Raises SlipwayError."""
    return session_of(lambda path: _load(path, threads), folder, [FILE])


def _load(path: Path, threads: int) -> Loaded:
    import torch

    from serving.open_inference.runtimes.torch_export import load_tensors

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return load_tensors(path, threads, lambda *_: torch.jit.load(path, map_location="cpu"))

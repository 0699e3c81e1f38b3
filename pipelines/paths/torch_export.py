"""A torch.export program (.pt2), run by PyTorch: the successor of TorchScript."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.holds.exported import exported_holds
from pipelines.paths import Card, Session, Variant
from pipelines.paths.behind import PROTOCOLS, SERVER, model_file, model_folder, open_behind
from pipelines.paths.exported import save_program
from pipelines.results import Holds
from serving.open_inference.runtimes import RUNTIMES

if TYPE_CHECKING:
    from models.model import Model

CARD = Card(
    name="torch-export",
    title="torch.export program (PyTorch)",
    variants={"fp32": Variant("ahead-of-time graph, float32, run by PyTorch", "torch", ("torch", "kserve"))},
    extra="torch-export",
    server=SERVER,
    protocols=PROTOCOLS,
    sources=(
        *("serving.open_inference.runtimes.torch_export", "pipelines.paths.behind", "pipelines.paths.exported"),
        *("pipelines.holds.exported", "pipelines.holds.totals"),
    ),
)


def package(model: Model, folder: Path, variant: str) -> None:  # noqa: ARG001 - there is one
    """Write ``MODEL/model.pt2`` with its signature; free dimensions stay free."""
    save_program(model, model_folder(model, folder, signature=True))


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    return exported_holds(model_file(folder, RUNTIMES["torch-export"]))


def open(folder: Path, threads: int) -> Session:
    """Load the program into PyTorch, with ``threads`` threads in this process. Raises SlipwayError."""
    return open_behind("torch-export", folder, threads)

"""torch.compile: PyTorch's compiler at work in the process that predicts; it has no artifact of its own.

The payload is a torch.export program. It is compiled at the first call, and once more for a batch for which PyTorch
takes another convolution: for one row, and again from sixteen rows on.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.holds.exported import exported_holds
from pipelines.paths import Card, Session, Variant
from pipelines.paths.behind import model_file, model_folder, session_of
from pipelines.paths.exported import save_program
from pipelines.paths.inductor import own_cache, require_compiler
from pipelines.results import Holds
from serving.open_inference.runtimes import RUNTIMES

if TYPE_CHECKING:
    from models.model import Model
    from serving.open_inference.runtimes import Loaded

CARD = Card(
    name="torch-compile",
    title="torch.compile (PyTorch)",
    variants={"fp32": Variant("compiled at the first call by Inductor, float32", "torch", ("torch",))},
    extra="torch-compile",
    no_server="it compiles in the process that predicts; aotinductor has an artifact, and a server",
    sources=(
        *("pipelines.paths.behind", "pipelines.paths.exported"),
        *("pipelines.paths.inductor", "serving.open_inference.runtimes.torch_export"),
        *("pipelines.holds.exported", "pipelines.holds.totals"),
    ),
)


def package(model: Model, folder: Path, variant: str) -> None:  # noqa: ARG001 - there is one
    """Write ``MODEL/model.pt2`` with its signature. Raises NotPossible where it could not be compiled."""
    require_compiler()
    save_program(model, model_folder(model, folder, signature=True))


def holds(folder: Path) -> Holds:
    """Read the program: what the compiler makes of it is not in the payload."""
    return exported_holds(model_file(folder, RUNTIMES["torch-export"]))


def open(folder: Path, threads: int) -> Session:
    """Load the program, to be compiled at the first call, with ``threads`` threads. Raises SlipwayError."""
    require_compiler()
    with ExitStack() as stack:
        stack.enter_context(own_cache())
        session = session_of(lambda path: _load(path, threads), folder, RUNTIMES["torch-export"])
        return replace(session, close=stack.pop_all().close)


def _load(path: Path, threads: int) -> Loaded:
    import torch

    from serving.open_inference.runtimes.torch_export import load_tensors

    def read(*_: object) -> torch.nn.Module:
        return torch.compile(torch.export.load(path).module(), fullgraph=True, dynamic=True)

    return load_tensors(path, threads, read)

"""LiteRT in a browser: a .tflite file for one row, computed by LiteRT.js's WebAssembly kernels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.errors import NotPossible, unknown
from pipelines.holds.tflite import tflite_holds
from pipelines.paths import Card, Session, Variant, litert
from pipelines.paths.behind import model_file, model_folder
from pipelines.paths.browser.payload import write_site
from pipelines.paths.browser.runtimes import NODE
from pipelines.paths.to_tflite import convert_twin, quantise
from pipelines.results import IN_BROWSER, Holds

if TYPE_CHECKING:
    from models.model import Model

RUNTIME = "litert-web"
VARIANTS = ("fp32", "fp16", "int8-dynamic", "int8")

CARD = Card(
    name=RUNTIME,
    title="LiteRT.js",
    variants={
        name: Variant(
            f"{litert.CARD.variants[name].summary}, one row a call",
            "keras",
            (*litert.CARD.variants[name].requires, NODE),
            litert.CARD.variants[name].tolerance,
            precision=litert.CARD.variants[name].precision,
            memory_gb=litert.CARD.variants[name].memory_gb,
        )
        for name in VARIANTS
    },
    extra=RUNTIME,
    where=IN_BROWSER,
    no_server="it runs in a browser; any web server can send its files",
    sources=(
        *("pipelines.paths.litert", "pipelines.paths.to_tflite", "pipelines.paths.behind"),
        *("pipelines.paths.browser", "pipelines.holds.tflite", "pipelines.holds.totals"),
    ),
)


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.tflite`` for one row, the runtime, and a page that loads both, into ``folder``.

    Raises NotPossible for a model with free lengths, since LiteRT.js takes one shape.
    """
    if variant not in CARD.variants:
        raise unknown(f"variant of {RUNTIME}", variant, CARD.variants)
    if model.spec.lengths:
        raise NotPossible(f"LiteRT.js takes one shape. Received: a free {', '.join(model.spec.lengths)}")
    twin = model.form("keras")
    content = convert_twin(twin, model.spec, half=variant == "fp16", rows=1)
    if variant.startswith("int8"):
        # Calibrated in a file of the same tensors that takes all rows in one batch.
        content = quantise(content, variant, model, lambda rows: convert_twin(twin, model.spec, rows=rows))
    (model_folder(model, folder) / "model.tflite").write_bytes(content)
    write_site(model.spec, folder, RUNTIME, RUNTIME, f"{model.name}/model.tflite")


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    return tflite_holds(model_file(folder, ("model.tflite",)))


def open(folder: Path, threads: int) -> Session:
    """Load the page into a headless Chromium, with ``threads`` threads. Raises NotPossible or SlipwayError."""
    from pipelines.paths.browser.page import open_page

    return open_page(folder, threads)

"""ONNX Runtime in a browser: an ONNX file and the WebAssembly build of the runtime, with SIMD and threads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.holds.onnx import onnx_holds
from pipelines.paths import Card, Session, Variant, onnxruntime
from pipelines.paths.behind import model_file
from pipelines.paths.browser.payload import write_site
from pipelines.paths.browser.runtimes import NODE
from pipelines.results import IN_BROWSER, Holds

if TYPE_CHECKING:
    from models.model import Model

RUNTIME = "onnxruntime-web"
EXPORTED = ("torch", "onnxscript", "onnx", "onnxruntime", NODE)
FROM = {"fp32": "pytorch", "fp16": "fp16", "int8": "int8"}
"""Variant -> that of the path onnxruntime whose file it ships."""

CARD = Card(
    name=RUNTIME,
    title="ONNX Runtime Web",
    variants={
        name: Variant(
            onnxruntime.CARD.variants[made].summary,
            "torch",
            EXPORTED,
            onnxruntime.CARD.variants[made].tolerance,
            precision=onnxruntime.CARD.variants[made].precision,
            also=onnxruntime.CARD.variants[made].also,
        )
        for name, made in FROM.items()
    },
    extra="onnxruntime-web",
    where=IN_BROWSER,
    no_server="it runs in a browser; any web server can send its files",
    sources=(
        *("pipelines.paths.onnxruntime", "pipelines.paths.to_onnx", "pipelines.paths.exported"),
        *("pipelines.paths.behind", "pipelines.paths.browser", "pipelines.holds.onnx", "pipelines.holds.totals"),
    ),
)


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.onnx``, the runtime, and a page that loads both, into ``folder``. Raises UserError."""
    onnxruntime.package(model, folder, FROM.get(variant, variant))
    write_site(model.spec, folder, RUNTIME, RUNTIME, f"{model.name}/model.onnx")


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    return onnx_holds(model_file(folder, ("model.onnx",)))


def open(folder: Path, threads: int) -> Session:
    """Load the page into a headless Chromium, with ``threads`` threads. Raises NotPossible or SlipwayError."""
    from pipelines.paths.browser.page import open_page

    return open_page(folder, threads)

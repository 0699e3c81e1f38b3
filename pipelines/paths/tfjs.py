"""TensorFlow.js: a graph model in a browser, computed by WebAssembly with SIMD and threads, or by WebGL."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.environments import Environment, kept_here, make, run_tool
from pipelines.base.errors import NotPossible, SlipwayError, unknown
from pipelines.holds.tfjs import tfjs_holds
from pipelines.paths import Card, Session, Tolerance, Variant
from pipelines.paths.behind import model_file, model_folder
from pipelines.paths.browser import convert_tfjs
from pipelines.paths.browser.payload import write_site
from pipelines.paths.browser.runtimes import NODE
from pipelines.results import IN_BROWSER, Holds

if TYPE_CHECKING:
    from models.model import Model

CONVERTER = Environment("tensorflowjs", ("tensorflowjs==4.22.0",))
"""Its dependencies pin an old TensorFlow and bring JAX: 2.7 GB. Its one module that is used needs none of them."""
CONVERTED = ("keras", "tensorflow", NODE)

# Seen over mnist_cnn and the tiny models: see tests/pipelines/paths/test_tfjs.py.
CARD = Card(
    name="tfjs",
    title="TensorFlow.js",
    variants={
        "fp32": Variant("graph model, computed by WebAssembly", "keras", CONVERTED),
        "webgl": Variant("graph model, computed by the shaders of WebGL", "keras", CONVERTED),
        "fp16": Variant(
            "weights in float16, computed in float32 by WebAssembly",
            "keras",
            CONVERTED,
            Tolerance(min_sqnr_db=60),
            precision="fp16",
        ),
    },
    extra="tfjs",
    environment=CONVERTER,
    where=IN_BROWSER,
    no_server="it runs in a browser; any web server can send its files",
    sources=("pipelines.paths.behind", "pipelines.paths.browser", "pipelines.holds.tfjs", "pipelines.holds.totals"),
)


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.json`` with its weights, the runtime, and a page that loads both, into ``folder``.

    Raises NotPossible for a model with operators that TensorFlow.js has not, and MissingExtra.
    """
    if variant not in CARD.variants:
        raise unknown("variant of tfjs", variant, CARD.variants)
    place = model_folder(model, folder)
    converter = make(CONVERTER, kept_here())
    with tempfile.TemporaryDirectory() as scratch:
        saved, refused = Path(scratch, "saved_model"), Path(scratch, "refused")
        model.form("keras").export(str(saved), verbose=False)
        words = [str(one) for one in (converter / "tensorflowjs", saved, place, refused)]
        program = [sys.executable, "-P", convert_tfjs.__file__, *words]
        said = run_tool([*program, *(("float16",) if variant == "fp16" else ())])
        if refused.exists():
            raise NotPossible(f"TensorFlow.js has no operator {refused.read_text()}")
        if said is not None:
            raise SlipwayError(f"the converter of TensorFlow.js failed: {said}")
    backend = "webgl" if variant == "webgl" else "wasm"
    write_site(model.spec, folder, "tfjs", f"tfjs-{backend}", f"{model.name}/model.json", backend=backend)


def holds(folder: Path) -> Holds:
    """Read what the payload holds."""
    return tfjs_holds(model_file(folder, ("model.json",)))


def open(folder: Path, threads: int) -> Session:
    """Load the page into a headless Chromium, with ``threads`` threads. Raises NotPossible or SlipwayError."""
    from pipelines.paths.browser.page import open_page

    return open_page(folder, threads)

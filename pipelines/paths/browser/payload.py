"""Writes a payload as a site ships it: a page, the module that loads the model, the runtime, and the model's file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from models.spec import ModelSpec
from pipelines.paths.browser.runtimes import HERE, vendor

PAGE = ("index.html", "page.mjs")
ABOUT = "about.json"


def write_site(spec: ModelSpec, folder: Path, module: str, runtime: str, file: str, **options: Any) -> None:
    """Write everything but the model's files beside them; ``file`` is the one to load, relative to ``folder``.

    ``module`` is the JavaScript that loads it with ``options``, ``runtime`` its name in FILES of
    :mod:`pipelines.paths.browser.runtimes`. Raises MissingExtra, or SlipwayError if npm fails.
    """
    for name in PAGE:
        shutil.copyfile(HERE / name, folder / name)
    shutil.copyfile(HERE / f"{module}.mjs", folder / "model.mjs")
    about = {"model": spec.name, "file": file, **options, **spec.signature()}
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n")
    vendor(runtime, folder / "runtime")

"""What the tests of the paths in a browser share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from models.trained import TrainedModel
from pipelines.paths.browser.runtimes import FILES

PAGE = {"index.html", "page.mjs", "model.mjs", "about.json"}


def sqnr_db(received: np.ndarray, expected: np.ndarray) -> float:
    """The ratio of the reference to the differences, dB."""
    return float(10 * np.log10((expected**2).sum() / ((received - expected) ** 2).sum()))


def check_payload(folder: Path, runtime: str, model: set[str]) -> None:
    """A page, its module, the runtime and the model's files: nothing else, and nothing that is fetched elsewhere."""
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert files == PAGE | {f"runtime/{name}" for name in FILES[runtime]} | {f"mnist_cnn/{name}" for name in model}
    about = json.loads((folder / "about.json").read_text())
    assert about["file"] in files
    assert [tensor["name"] for tensor in (*about["inputs"], *about["outputs"])] == ["image", "logits"]
    for name in PAGE:
        assert "://" not in (folder / name).read_text().replace("file://", "")


def check_answers(module: Any, folder: Path, variant: str, trained: TrainedModel, threads: int) -> None:
    """Batches of several sizes are answered in the browser as by the reference, and only this site is asked."""
    images = trained.evaluation().inputs["image"][:8]
    floor = module.CARD.variants[variant].tolerance.min_sqnr_db
    with module.open(folder, threads) as session:
        for rows in (1, 2, 8):
            inputs = {"image": images[:rows]}
            found = session.predict(inputs)
            assert list(found) == ["logits"]
            assert found["logits"].dtype == np.float32
            assert sqnr_db(found["logits"], trained.reference(inputs)["logits"]) >= floor
        here = session.page.requests[0].partition("?")[0]
        assert all(url.startswith((here, f"blob:{here}")) for url in session.page.requests)
        asked = {url.removeprefix(here) for url in session.page.requests}
        assert {"page.mjs", "model.mjs", "about.json"} <= asked
        assert session.page.download_bytes <= sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

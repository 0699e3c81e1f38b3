"""Payloads for the Open Inference server: ``MODEL/model.ENDING``, loaded by the server's own code in process too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.errors import SlipwayError
from pipelines.paths import Arrays, Session
from serving.open_inference.runtimes import RUNTIMES, SIGNATURE, Loaded, NotLoadable, runtime

if TYPE_CHECKING:
    import numpy as np

    from models.model import Model
    from models.spec import ModelSpec

PROTOCOLS = ("open-inference-rest", "open-inference-rest-binary", "open-inference-grpc")
SERVER = "serving.open_inference.recipe"


def model_folder(model: Model, folder: Path, *, signature: bool = False) -> Path:
    """Make the folder of a model in a payload; with ``signature``, write the names that its program has not."""
    place = folder / model.name
    place.mkdir()
    if signature:
        write_signature(model.spec, place)
    return place


def write_signature(spec: ModelSpec, place: Path) -> None:
    """Write names, dtypes and shapes of inputs and outputs beside a program."""
    (place / SIGNATURE).write_text(json.dumps(spec.signature(), indent=2) + "\n")


def open_behind(name: str, folder: Path, threads: int) -> Session:
    """Open the one model of a payload by a runtime of the server, with ``threads`` threads.

    So the verified call is the served call, and any extra cost is the server's. Raises SlipwayError.
    """
    return session_of(lambda path: runtime(name).load(path, threads), folder, RUNTIMES[name])


def model_file(folder: Path, names: Sequence[str]) -> Path:
    """Return the file of the one model of a payload; it has one of the names. Raises SlipwayError."""
    found = [place / name for place in sorted(folder.iterdir()) for name in names if (place / name).is_file()]
    if len(found) != 1:
        raise SlipwayError(f"{folder} must hold the file of one model. Received: {len(found)}")
    return found[0]


def session_of(load: Callable[[Path], Loaded], folder: Path, names: Sequence[str]) -> Session:
    """Open the one model of a payload with ``load``; its file has one of the names. Raises SlipwayError."""
    file = model_file(folder, names)
    try:
        loaded = load(file)
    except NotLoadable as error:
        raise SlipwayError(str(error)) from error
    names = [tensor.name for tensor in loaded.outputs]

    def predict(inputs: Arrays) -> dict[str, np.ndarray]:
        return dict(zip(names, loaded.run(inputs, names), strict=True))

    return Session(predict)

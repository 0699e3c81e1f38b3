"""The models that run in the visitor's own browser: their files, their inputs, and what their answers are worth."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from models.spec import ModelSpec, TensorSpec, fits
from pipelines.artifacts.artifact import Artifact, read_certificate
from pipelines.base.errors import UserError, unknown
from pipelines.measure.server import check_outputs
from pipelines.paths.choose import Choice
from pipelines.results import Certificate
from pipelines.web.asking import Outputs, judge, said
from pipelines.web.inputs import Given
from serving.clients import ProtocolError

TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm", ".json": "application/json"}
POLICY = (
    "default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "connect-src 'self' blob:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""The policy of the frame that a model runs in: WebAssembly is compiled, and its threads start from a blob."""


@dataclass(frozen=True, slots=True)
class BrowserModel:
    """One artifact of a path whose models run in a browser."""

    name: str
    title: str
    payload: Path
    certificate: Certificate
    files: frozenset[str]


def browser_model(choice: Choice, artifact: Artifact) -> BrowserModel:
    """Return what the page needs of an artifact."""
    files = frozenset(file.path for file in artifact.manifest.files)
    return BrowserModel(choice.name, choice.card.title, artifact.payload, read_certificate(artifact.folder), files)


class Shelf:
    """The models that the page can run, by name."""

    def __init__(self, models: Sequence[BrowserModel]) -> None:
        self._models = {model.name: model for model in models}

    def listed(self) -> list[dict[str, str]]:
        """Return name and title of each."""
        return [{"name": model.name, "title": model.title} for model in self._models.values()]

    def __getitem__(self, name: str) -> BrowserModel:
        """Return the model of this name. Raises UserError."""
        if name not in self._models:
            raise unknown("model in the browser", name, self._models)
        return self._models[name]

    def file(self, name: str, path: str) -> Response:
        """Return a file of a payload; of no other one. Raises UserError or HTTPException."""
        model = self[name]
        if path not in model.files:
            raise HTTPException(404)
        kind = TYPES.get(Path(path).suffix)
        return FileResponse(model.payload / path, media_type=kind, headers={"content-security-policy": POLICY})

    def judged(self, asked: Any, spec: ModelSpec) -> tuple[BrowserModel, Given, Outputs]:
        """Return the model, the input and the answer that a page sends to be judged. Raises UserError."""
        match asked:
            case {"name": str(name), "inputs": dict(inputs), "outputs": dict(outputs)}:
                model = self[name]
            case _:
                raise UserError("expected JSON with name, inputs and outputs. Received: something else")
        arrays = unpacked(inputs, spec.inputs)
        answer = unpacked(outputs, spec.outputs)
        rows = len(next(iter(arrays.values())))
        if not rows or any(len(array) != rows for array in arrays.values()):
            raise UserError(f"expected inputs of the same number of rows. Received: {list(map(len, arrays.values()))}")
        try:
            check_outputs(answer, spec, rows)
        except ProtocolError as error:
            raise UserError(str(error)) from error
        return model, Given("judged", arrays), answer


def verdict_of(
    model: BrowserModel, given: Given, answer: Outputs, expected: Outputs, spec: ModelSpec
) -> dict[str, Any]:
    """Return what an answer says, and what the certificate says of it."""
    return {**said(answer, spec), **judge(model.certificate, spec, given, answer, expected)}


def unpacked(arrays: Mapping[str, Any], tensors: Sequence[TensorSpec]) -> dict[str, np.ndarray]:
    """Return the arrays of tensors, which a page has packed. Raises UserError for another dtype, shape or length."""
    found = {}
    for tensor in tensors:
        match arrays.get(tensor.name):
            case {"dtype": tensor.dtype, "shape": list(shape), "data": str(data)} if all(map(_is_size, shape)):
                if not fits(shape, tensor.sizes):
                    raise UserError(f"expected {tensor.name!r} of shape {tensor.sizes}. Received: {shape}")
            case _:
                raise UserError(f"expected {tensor.name!r} with dtype {tensor.dtype}, shape and data")
        try:
            found[tensor.name] = np.frombuffer(base64.b64decode(data, validate=True), tensor.dtype).reshape(shape)
        except (binascii.Error, ValueError) as error:
            raise UserError(f"expected {tensor.name!r} in base64, of shape {shape}. Received: {error}") from error
    return found


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0

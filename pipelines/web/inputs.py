"""Turns what a person draws, drops, picks or writes into the inputs of the model, as ``slipway predict`` does."""

from __future__ import annotations

import base64
import threading
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson

from models.model import KeptModel
from models.spec import ImagePreprocessing
from models.task import Classes
from models.text import encoder
from pipelines.artifacts import reference
from pipelines.base.errors import UserError
from pipelines.run.unusual import unusual
from pipelines.stages.answers import REFERENCE
from serving.wire import pictures

FORMATS = ("PNG", "JPEG")
MAX_PIXELS = 50_000_000
"""As in :mod:`pipelines.run.inputs`."""
MAX_TEXTS, MAX_CHARACTERS = 8, 10_000
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Given:
    """One input: what it is called, its arrays, its true label and the reference's outputs where they are known.

    ``warnings`` say why its answer may mean nothing; ``seen`` is the picture as the model sees it.
    """

    title: str
    arrays: dict[str, np.ndarray]
    truth: str | None = None
    expected: dict[str, np.ndarray] | None = None
    warnings: tuple[str, ...] = ()
    seen: dict[str, Any] | None = None


class Reader:
    """Reads inputs of one model; may be used from several threads."""

    def __init__(self, model: KeptModel) -> None:
        """Read the model's test data. Raises OSError or ValueError, and ImportError if texts need a library."""
        self.model, self.spec = model, model.spec
        self._known = reference.read(model.folder / REFERENCE)
        self._rows = self._known.inputs.get(reference.EVALUATION)
        self._encode = encoder(model)
        self._ranges = model.ranges()
        # A large picture takes hundreds of megabytes while it is decoded: one at a time.
        self._decoding = threading.Lock()

    @property
    def samples(self) -> int:
        """The number of rows of test data."""
        return 0 if self._rows is None else reference.rows_of(self._rows)

    def read(self, kind: str, body: bytes) -> Given:
        """Return the input in a request's body: JSON that names a row or texts, or a picture. Raises UserError."""
        if kind.partition(";")[0].strip().lower() != JSON:
            return self._picture(body)
        try:
            asked = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise UserError(f"expected JSON with a row or texts. Received: {error}") from error
        match asked:
            case {"row": int(row)} if not isinstance(row, bool):
                return self._row(row)
            case {"texts": list(texts)} if all(isinstance(one, str) for one in texts):
                return self._texts(texts)
        raise UserError(f"expected JSON with a row or texts. Received: {body[:80]!r}")

    def _row(self, row: int) -> Given:
        if self._rows is None or not 0 <= row < self.samples:
            raise UserError(f"the test data has rows 0 to {self.samples - 1}. Received: {row}")
        task, labels = self.spec.task, self._known.labels
        outputs = self._known.outputs[reference.EVALUATION]
        return self._given(
            f"test row {row}",
            {name: array[row : row + 1] for name, array in self._rows.items()},
            truth=None if labels is None or not isinstance(task, Classes) else task.label(int(labels[row])),
            expected={name: array[row : row + 1] for name, array in outputs.items()},
        )

    def _texts(self, texts: list[str]) -> Given:
        if self._encode is None:
            raise UserError(f"{self.spec.name} takes no texts. Received: {len(texts)}")
        lines = [text for text in texts if text.strip()]
        if not 0 < len(lines) <= MAX_TEXTS or max(map(len, lines)) > MAX_CHARACTERS:
            raise UserError(
                f"expected 1 to {MAX_TEXTS} texts of at most {MAX_CHARACTERS:,} characters. Received: {len(lines)}"
            )
        return self._given(" ~ ".join(lines), self._encode(lines))

    def _picture(self, body: bytes) -> Given:
        rule = self.spec.picture
        if rule is None:
            raise UserError(f"{self.spec.name} takes no pictures. Received: {len(body)} bytes")
        try:
            with self._decoding:
                pixels = pictures.to_row(body, asdict(rule), max_pixels=MAX_PIXELS, formats=FORMATS)
        except pictures.Unfit as error:
            raise UserError(f"expected {error}") from error
        except pictures.NotReadable as error:
            raise UserError(f"expected a picture, PNG or JPEG. Received: {len(body)} bytes, {error}") from error
        (tensor,) = self.spec.inputs
        return self._given("picture", {tensor.name: pixels[np.newaxis].astype(tensor.dtype)})

    def _given(self, title: str, arrays: dict[str, np.ndarray], **known: Any) -> Given:
        warnings = [
            text
            for name, one in self._ranges.items()
            for row in arrays[name]
            if (text := unusual(row, one)) is not None
        ]
        rule = self.spec.picture
        seen = None if rule is None else _seen(next(iter(arrays.values()))[0], rule)
        return Given(title, arrays, warnings=tuple(dict.fromkeys(warnings)), seen=seen, **known)


def _seen(row: np.ndarray, rule: ImagePreprocessing) -> dict[str, Any]:
    """Return a row as a picture: its size, its channels, and its pixels (uint8) in base64."""
    pixels = np.clip(np.rint(row.astype(np.float64) * rule.scale + rule.offset), 0, 255).astype(np.uint8)
    data = base64.b64encode(pixels.tobytes()).decode()
    return {"width": rule.width, "height": rule.height, "channels": rule.channels, "data": data}

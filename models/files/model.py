"""A model that is a user's own file: a :class:`models.model.Model` whose forms come from the file."""

from __future__ import annotations

import importlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.dataset import Dataset, InputRange
from models.files import OWN
from models.files.kept import spec_from
from models.model import NoSamples
from models.spec import ModelSpec

SAMPLES = "samples.npz"
"""The user's samples, if there are any, in the folder of a user's model."""
FILES = {"keras": "model.keras", "saved_model": "saved_model", "pt2": "model.pt2", "onnx": "model.onnx"}
"""Maps a kind to the name of the file, or folder, that is kept."""
MAKERS: dict[str, dict[str, str]] = {
    "keras": {
        "keras": "models.files.forms.as_keras:of_file",
        "torch": "models.files.forms.as_torch:of_keras",
        "saved_model": "models.files.forms.as_keras:exported",
        "onnx": "models.files.forms.as_onnx:of_keras",
    },
    "saved_model": {
        "keras": "models.files.forms.as_keras:of_saved_model",
        "saved_model": "models.files.forms.as_keras:folder",
        "onnx": "models.files.forms.as_onnx:of_saved_model",
    },
    "pt2": {"torch": "models.files.forms.as_torch:of_program"},
    "onnx": {"onnx": "models.files.forms.as_onnx:of_file"},
}
"""Maps a kind to the forms that it can be had in, and each to the function ``(model) -> form``."""
ANSWERS = "models.files.forms.answers"
RUNTIMES = {"keras": "tensorflow", "saved_model": "tensorflow", "pt2": "pytorch", "onnx": "onnxruntime"}
"""Maps a kind to what computes the reference's answers: the file's own runtime."""
REQUIRES = {
    "keras": ("keras", "tensorflow", "torch", "tf2onnx"),
    "saved_model": ("keras", "tensorflow", "tf2onnx"),
    "pt2": ("torch",),
    "onnx": ("onnx",),
}
"""Maps a kind to the distributions that its forms are made with."""
CALIBRATION, EVALUATION, LABELS = "calibration", "evaluation", "evaluation/labels"


@dataclass(frozen=True, slots=True)
class FileModel:
    """A user's own model. ``folder`` holds a checked copy of the file; ``sha256`` is that of its content.

    ``only`` is the one form that it is to be had in, of those that are possible; None for all of them.
    """

    spec: ModelSpec
    kind: str
    folder: Path
    sha256: str
    only: str | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def framework(self) -> str:
        """Return the name of the file's own runtime, which computes the reference."""
        return RUNTIMES[self.kind]

    @property
    def requires(self) -> tuple[str, ...]:
        return REQUIRES[self.kind]

    @property
    def described(self) -> str:
        """Say what computes the reference, in a few words."""
        return f"{self.framework}, the file {self.about()['origin']}, sha256 {self.about()['file_sha256'][:12]}"

    @property
    def path(self) -> Path:
        """The copy of the file."""
        return self.folder / FILES[self.kind]

    @property
    def forms(self) -> Collection[str]:
        return MAKERS[self.kind] if self.only is None else (self.only,)

    @property
    def has_samples(self) -> bool:
        """Tell if there is data of the user to calibrate with."""
        return (self.folder / SAMPLES).exists()

    def form(self, name: str) -> Any:
        """Return the model in a form. Raises KeyError for one that it does not have."""
        module, _, function = MAKERS[self.kind][name].partition(":")
        return getattr(importlib.import_module(module), function)(self)

    def reference(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of the file's own runtime."""
        found: dict[str, np.ndarray] = importlib.import_module(ANSWERS).answers(self, inputs)
        return found

    def about(self) -> dict[str, Any]:
        """Return what was noted when the file was taken: its spec, its kind, its origin."""
        found: dict[str, Any] = json.loads((self.folder / OWN).read_text())
        return found

    def origin(self) -> dict[str, Any]:
        """Return the file's name and hash."""
        about = self.about()
        return {"file": about["origin"], "file_sha256": about["file_sha256"]}

    def facts(self) -> dict[str, Any]:
        """Return the number of parameters, if the file says it, and the file's name."""
        about = self.about()
        return {"test_accuracy": None, "parameters": about["parameters"], "source": about["origin"]}

    def _samples(self, kind: str) -> Dataset | None:
        if not self.has_samples:
            return None
        with np.load(self.folder / SAMPLES, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        labels = arrays.pop(LABELS, None)
        inputs = {key.removeprefix(f"{kind}/"): one for key, one in arrays.items() if key.startswith(f"{kind}/")}
        return Dataset(inputs, labels if kind == EVALUATION else None) if inputs else None

    def evaluation(self) -> Dataset | None:
        """Return the user's samples that nothing is calibrated with; None without samples."""
        return self._samples(EVALUATION)

    def calibration(self) -> Dataset:
        """Return the user's samples that are for calibration only. Raises NoSamples."""
        found = self._samples(CALIBRATION)
        if found is None:
            raise NoSamples(f"{self.name} has no samples to calibrate with")
        return found

    def ranges(self) -> dict[str, InputRange]:
        """Return the range of each input in the user's samples; none without."""
        found = self._samples(CALIBRATION)
        return {} if found is None else found.ranges()

    def file(self, name: str) -> bytes:
        """Return the content of a file beside the model. Raises FileNotFoundError."""
        return (self.folder / name).read_bytes()


def load(folder: Path) -> FileModel:
    """Load the user's model in ``folder``. Raises OSError, KeyError or ValueError for a folder that holds none."""
    about = json.loads((folder / OWN).read_text())
    return FileModel(spec_from(about["spec"]), about["kind"], folder, about["sha256"])

"""A model as the paths take it: what it is, and the forms that it can be had in."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from models.dataset import Dataset, InputRange
    from models.spec import ModelSpec

FORMS = {"torch": "pytorch", "keras": "tensorflow", "saved_model": "tensorflow", "onnx": "onnx"}
"""The forms that converters take, and the framework of each.

``torch``: a module in evaluation mode that takes the inputs in the spec's order. ``keras``: a model that maps
{input name: tensor} to {output name: tensor}. ``saved_model``: the folder of one. ``onnx``: an ``onnx.ModelProto``
with the spec's names.
"""


class NoSamples(Exception):
    """A model has no data to calibrate with."""


class NotThisForm(Exception):
    """A model cannot be had in a form; the message has the converter's own words."""


class Model(Protocol):
    """Something trained."""

    @property
    def spec(self) -> ModelSpec: ...
    @property
    def sha256(self) -> str:
        """A hash of the model's content."""
        ...

    @property
    def name(self) -> str: ...
    @property
    def forms(self) -> Collection[str]:
        """The forms, out of :data:`FORMS`, that the model can be had in."""
        ...

    def form(self, name: str) -> Any:
        """Return the model in a form. Raises KeyError for one that it does not have."""
        ...

    def reference(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs that every path is compared with."""
        ...

    def evaluation(self) -> Dataset | None:
        """Return data that was never used for training or calibration; None if there is none."""
        ...

    def calibration(self) -> Dataset:
        """Return rows of the training data, or like it, for quantisation. Raises NoSamples."""
        ...


class KeptModel(Model, Protocol):
    """A model that is kept in a folder of a workspace: one that was trained or fetched, or a user's file."""

    @property
    def framework(self) -> str:
        """The framework whose outputs are the reference."""
        ...

    @property
    def requires(self) -> tuple[str, ...]:
        """The distributions that its forms are made with, besides those of a path."""
        ...

    @property
    def described(self) -> str:
        """Say what computes the reference, in a few words."""
        ...

    @property
    def folder(self) -> Path:
        """The folder that everything of the model is kept in."""
        ...

    @property
    def has_samples(self) -> bool:
        """Tell if there is data to calibrate with."""
        ...

    def origin(self) -> dict[str, Any]:
        """Return how it came about: the options of its training, or its file."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return its ``test_accuracy``, ``parameters`` and ``source``, None for what is not known."""
        ...

    def ranges(self) -> dict[str, InputRange]:
        """Return the range of each input in the data that the model was made with, as far as it is known."""
        ...

    def file(self, name: str) -> bytes:
        """Return the content of a file that is kept beside the model. Raises FileNotFoundError."""
        ...

"""A model as the paths take it: what it is, and the forms that it can be had in."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from models.dataset import Dataset
    from models.spec import ModelSpec

FORMS = {"torch": "pytorch", "keras": "tensorflow"}
"""The forms that converters take, and the framework of each.

``torch``: a module in evaluation mode that takes the inputs in the spec's order. ``keras``: a model that maps
{input name: tensor} to {output name: tensor}.
"""


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
        """Return rows of the training data, or like it, for quantisation."""
        ...

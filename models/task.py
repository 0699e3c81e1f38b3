"""The meaning of a model's outputs: how agreement with the reference is judged, and how an answer is described.

The first output of a signature is the one that a task judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np


class Task(Protocol):
    """One kind of output."""

    @property
    def judged_by(self) -> Literal["top-1", "cosine", "differences"]:
        """The measure of agreement with the reference, besides the differences."""
        ...

    def describe(self, row: np.ndarray) -> str:
        """Describe one row of an output, for people."""
        ...


@dataclass(frozen=True, slots=True)
class Classes:
    """Scores of classes (logits), float (N, classes): the largest one names the class; ``labels`` are their names."""

    labels: tuple[str, ...] = ()
    judged_by: Literal["top-1"] = "top-1"

    def describe(self, row: np.ndarray) -> str:
        probabilities = softmax(row)
        best = int(probabilities.argmax())
        return f"{self.label(best)} ({probabilities[best]:.1%})"

    def label(self, number: int) -> str:
        """Return the name of a class; without names, its number."""
        return self.labels[number] if self.labels else str(number)


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings, float (N, size): two of them are compared by the cosine of their angle."""

    judged_by: Literal["cosine"] = "cosine"

    def describe(self, row: np.ndarray) -> str:
        return f"vector of {row.size} values, length {float((row**2).sum()) ** 0.5:.3g}"


@dataclass(frozen=True, slots=True)
class Plain:
    """Numbers of any shape."""

    judged_by: Literal["differences"] = "differences"

    def describe(self, row: np.ndarray) -> str:
        values = ", ".join(f"{value:.4g}" for value in row.ravel()[:4])
        return values + (", ..." if row.size > 4 else "")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities along the last axis, float64."""
    import numpy as np

    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))

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

    def right(self, output: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
        """Tell for each row of an output if it is right: bool (N,); None for a task that has no right and wrong."""
        ...

    def describe(self, row: np.ndarray) -> str:
        """Describe one row of an output, for people."""
        ...


@dataclass(frozen=True, slots=True)
class Classes:
    """Scores of classes, float (N, classes): the largest one names the class; ``labels`` are their names.

    Scores are logits, unless they are ``probabilities`` already.
    """

    labels: tuple[str, ...] = ()
    judged_by: Literal["top-1"] = "top-1"
    probabilities: bool = False

    def shares(self, row: np.ndarray) -> np.ndarray:
        """Return the probability of each class, float64."""
        return row.astype("float64") if self.probabilities else softmax(row)

    def right(self, output: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Tell for each row if the class with the largest score is its label."""
        import numpy as np

        return np.asarray(output.argmax(1) == labels)

    def describe(self, row: np.ndarray) -> str:
        shares = self.shares(row)
        best = int(shares.argmax())
        return f"{self.label(best)} ({shares[best]:.1%})"

    def label(self, number: int) -> str:
        """Return the name of a class; without names, its number."""
        return self.labels[number] if self.labels else str(number)


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings, float (N, size): two of them are compared by the cosine of their angle."""

    judged_by: Literal["cosine"] = "cosine"

    def right(self, output: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Tell for each row if the nearest other row, by cosine, has its label."""
        import numpy as np

        unit = output / np.maximum(np.linalg.norm(output, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        cosines = unit @ unit.T
        np.fill_diagonal(cosines, -np.inf)
        return np.asarray(labels[cosines.argmax(1)] == labels)

    def describe(self, row: np.ndarray) -> str:
        return f"vector of {row.size} values, length {float((row**2).sum()) ** 0.5:.3g}"


@dataclass(frozen=True, slots=True)
class Plain:
    """Numbers of any shape."""

    judged_by: Literal["differences"] = "differences"

    def right(self, output: np.ndarray, labels: np.ndarray) -> None:  # noqa: ARG002
        """Return None: a number is nearer or farther, not right or wrong."""
        return None

    def describe(self, row: np.ndarray) -> str:
        values = ", ".join(f"{value:.4g}" for value in row.ravel()[:4])
        return values + (", ..." if row.size > 4 else "")


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine of the angle of two vectors; 0 if one has no length."""
    import numpy as np

    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities along the last axis, float64."""
    import numpy as np

    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))

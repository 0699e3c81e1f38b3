"""Holds labelled samples, and the split of a data set into training and test data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class InputRange:
    """The lowest and highest value of one input, and of the mean and the standard deviation of its rows."""

    values: tuple[float, float]
    means: tuple[float, float]
    spreads: tuple[float, float]

    @classmethod
    def of(cls, rows: np.ndarray) -> InputRange:
        """Return the range of an array with one row a sample."""
        flat = rows.reshape(len(rows), -1)
        found = (flat, flat.mean(1, dtype=np.float64), flat.std(1, dtype=np.float64))
        return cls(*((float(one.min()), float(one.max())) for one in found))


@dataclass(frozen=True, slots=True)
class Dataset:
    """``inputs`` maps each input's name to an array with one row per sample; ``labels`` is int64 (N,), if any."""

    inputs: dict[str, np.ndarray]
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def ranges(self) -> dict[str, InputRange]:
        """Return the range of each input; texts have none."""
        return {name: InputRange.of(rows) for name, rows in self.inputs.items() if rows.dtype.kind != "U"}

    def head(self, rows: int) -> Dataset:
        """Return the first ``rows`` samples."""
        labels = None if self.labels is None else self.labels[:rows]
        return Dataset({name: array[:rows] for name, array in self.inputs.items()}, labels)


@dataclass(frozen=True, slots=True)
class Split:
    """``train`` is for training and calibration; ``test`` is for evaluation only."""

    train: Dataset
    test: Dataset

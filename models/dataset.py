"""Holds labelled samples, and the split of a data set into training and test data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Dataset:
    """``inputs`` maps each input's name to an array with one row per sample; ``labels`` is int64 (N,)."""

    inputs: dict[str, np.ndarray]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, rows: int) -> Dataset:
        """Return the first ``rows`` samples."""
        return Dataset({name: array[:rows] for name, array in self.inputs.items()}, self.labels[:rows])


@dataclass(frozen=True, slots=True)
class Split:
    """``train`` is for training and calibration; ``test`` is for evaluation only."""

    train: Dataset
    test: Dataset

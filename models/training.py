"""Makes batches, augmentation and the learning-rate schedule for the training loops of both frameworks, in numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from models.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Augment:
    """Moves each picture by up to ``shift`` pixels in both directions, and fills the new edge with 0."""

    shift: int


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """``peak_rate`` is the highest learning rate of the one-cycle schedule."""

    epochs: int
    batch: int
    peak_rate: float
    seed: int
    augment: Augment


@dataclass(frozen=True, slots=True)
class Epoch:
    """The result of one pass over the training data; ``accuracy`` is on the test data, 0..1."""

    number: int
    of: int
    loss: float
    accuracy: float


OnEpoch = Callable[[Epoch], None]


def batches(
    train: Dataset, name: str, recipe: TrainingRecipe, epoch: int
) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
    """Yield the batches of one epoch as (step over the whole training, (augmented inputs, labels)).

    The order and the augmentation depend only on the seed and the epoch. An incomplete last batch is
    left out, so each epoch leaves out different rows.
    """
    rng = np.random.default_rng((recipe.seed, epoch))
    labels = train.labels
    assert labels is not None  # noqa: S101 - there is no training without
    order = rng.permutation(len(train))
    per_epoch = len(train) // recipe.batch
    for index in range(per_epoch):
        rows = order[index * recipe.batch : (index + 1) * recipe.batch]
        images = np.stack([_shifted(image, rng, recipe.augment.shift) for image in train.inputs[name][rows]])
        yield epoch * per_epoch + index, (images, labels[rows])


def _shifted(image: np.ndarray, rng: np.random.Generator, shift: int) -> np.ndarray:
    down, right = rng.integers(0, 2 * shift + 1, size=2)
    padded = np.pad(image, shift)
    return padded[down : down + image.shape[0], right : right + image.shape[1]]


def one_cycle(recipe: TrainingRecipe, rows: int) -> np.ndarray:
    """Return the learning rate of every step: linear up for 30 %, then a cosine down to zero.

    After Smith and Topin, "Super-Convergence", arXiv:1708.07120, with the cosine that is usual today.
    """
    steps = recipe.epochs * (rows // recipe.batch)
    position = np.arange(steps) / max(1, steps - 1)
    up = position / 0.3
    down = 0.5 * (1 + np.cos(np.pi * (position - 0.3) / 0.7))
    return recipe.peak_rate * np.where(position < 0.3, np.maximum(up, 0.02), down)

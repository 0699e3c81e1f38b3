"""Makes rows of the real photographs that three packages ship: no download, and no labels."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.dataset import Dataset, Split
from models.efficientnet_lite0 import PREPROCESSING

if TYPE_CHECKING:
    from PIL import Image

# Distribution: folder in it, photographs. The files are found without importing the packages.
SOURCES = {
    "scikit-image": (
        "skimage/data",
        (
            "astronaut.png",
            "chelsea.png",
            "coffee.png",
            "hubble_deep_field.jpg",
            "motorcycle_left.png",
            "motorcycle_right.png",
            "retina.jpg",
            "rocket.jpg",
        ),
    ),
    "scikit-learn": ("sklearn/datasets/images", ("china.jpg", "flower.jpg")),
    "matplotlib": ("matplotlib/mpl-data/sample_data", ("grace_hopper.jpg",)),
}
SIZE = (PREPROCESSING.width, PREPROCESSING.height)
ROWS, SEED = 64, 20_260_101
NOISE = 0.05
"""The standard deviation of the noise of the evaluation rows, in the network's units."""


def photographs() -> dict[str, Path]:
    """Return the file of each photograph, by its name. Raises ImportError for a package that is not installed."""
    found: dict[str, Path] = {}
    for name, (folder, files) in SOURCES.items():
        try:
            package = distribution(name)
        except PackageNotFoundError as error:
            raise ImportError(f"{name} is not installed, whose photographs this model's data is made of") from error
        found |= {Path(file).stem: Path(str(package.locate_file(f"{folder}/{file}"))) for file in files}
    return found


def load() -> Split:
    """Return 75 rows for evaluation and 64 for calibration, the same ones every time, without labels.

    ``inputs["image"]`` is float32 (N, 224, 224, 3) in -127/128..1. Evaluation: the middle of each of the photographs,
    in the order of :func:`photographs`, then random crops of them with noise. Calibration: other random crops, some
    of them mirrored. Raises ImportError when a package that ships photographs is not installed.
    """
    from PIL import Image

    pictures = []
    for file in photographs().values():
        with Image.open(file) as opened:
            pictures.append(opened.convert("RGB"))
    rng, calibration = (np.random.default_rng(seed) for seed in (SEED, SEED + 1))
    noisy = np.stack([_crop(pictures[index % len(pictures)], rng) for index in range(ROWS)])
    noisy += np.float32(NOISE) * rng.standard_normal(noisy.shape, np.float32)
    low, high = _scaled(np.array([0, 255], np.uint8))
    test = np.concatenate([np.stack([*map(_middle, pictures)]), noisy.clip(low, high, noisy)])
    crops = (_crop(pictures[index % len(pictures)], calibration) for index in range(ROWS))
    train = np.stack([crop[:, ::-1] if calibration.random() < 0.5 else crop for crop in crops])
    return Split(train=Dataset({"image": train}), test=Dataset({"image": test}))


def _middle(picture: Image.Image) -> np.ndarray:
    """Return what every path makes of a photograph: its centre, in whole pixels, scaled."""
    from PIL import Image

    assert PREPROCESSING.crop is not None  # noqa: S101 - it is above
    side = int(PREPROCESSING.crop * min(picture.size))
    left, top = ((length - side + 1) // 2 for length in picture.size)
    return _scaled(np.asarray(picture.resize(SIZE, Image.Resampling.BICUBIC, (left, top, left + side, top + side))))


def _crop(picture: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Return a random square of 0.3 to 1 times the shorter side."""
    from PIL import Image

    side = rng.uniform(0.3, 1) * min(picture.size)
    left, top = (rng.uniform(0, length - side) for length in picture.size)
    box = (left, top, left + side, top + side)
    return _scaled(np.asarray(picture.resize(SIZE, Image.Resampling.BICUBIC, box)))


def _scaled(pixels: np.ndarray) -> np.ndarray:
    return (pixels - np.float32(PREPROCESSING.offset)) / np.float32(PREPROCESSING.scale)

"""Measures the twins: the same models, and their training, in both frameworks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models import MODELS
from pipelines.artifacts.sources import place_of
from pipelines.claims import ClaimReading
from pipelines.claims.experiments.behaviour.code_size import comparison, size_of

MEASURES = ("tokens", "nodes", "names")
EFFECT = 0.20
"""The smallest difference of code sizes that counts: a fifth. Fixed before measuring."""
SIDES = "pipelines.claims.experiments.behaviour"


@dataclass(frozen=True, slots=True)
class Piece:
    """Code of a module: all of it, or the functions and classes of these names."""

    module: str
    only: tuple[str, ...] | None = None


Pair = tuple[Piece, Piece]
"""The same thing in PyTorch and in TensorFlow."""

DEFINITIONS: Mapping[str, Pair] = {
    f"definition of {name}": (Piece(f"{module}.torch_net"), Piece(f"{module}.keras_net"))
    for name, module in MODELS.items()
}
LOOP: Mapping[str, Pair] = {
    "training of mnist_cnn, step by step": (
        Piece("models.mnist_cnn.train", ("pytorch",)),
        Piece("models.mnist_cnn.train", ("tensorflow",)),
    )
}
SEQUENTIAL: Mapping[str, Pair] = {
    "small network, Sequential in both": (
        Piece(f"{SIDES}.in_torch.styles", ("network",)),
        Piece(f"{SIDES}.in_tensorflow.nets", ("sequential",)),
    )
}
SHORTEST: Mapping[str, Pair] = {
    "training of a small network, as the guides show it": (
        Piece(f"{SIDES}.in_torch.styles", ("loop",)),
        Piece(f"{SIDES}.in_tensorflow.nets", ("fit",)),
    )
}
SOURCES = tuple({piece.module for pairs in (DEFINITIONS, LOOP) for pair in pairs.values() for piece in pair})


def measured(pairs: Mapping[str, Pair]) -> dict[str, Any]:
    """Measure pairs: {pair: {"pytorch": {"tokens", "nodes", "names"}, "tensorflow": ...}}; ``names`` are listed."""
    return {name: comparison([_size(torch)], [_size(tensorflow)]) for name, (torch, tensorflow) in pairs.items()}


def _size(piece: Piece) -> Any:
    return size_of(place_of(piece.module).read_text("utf-8"), piece.only)


def readings(found: Mapping[str, Any]) -> tuple[ClaimReading, ...]:
    """Return PyTorch's sizes over TensorFlow's, of every pair and measure: ``PAIR: MEASURE``."""
    return tuple(
        share(f"{pair}: {measure}", count(sides["pytorch"], measure), count(sides["tensorflow"], measure))
        for pair, sides in found.items()
        for measure in MEASURES
    )


def share(name: str, above: int, below: int) -> ClaimReading:
    """Return the ratio of two counts."""
    return ClaimReading(name, above / below, raw=((float(above), float(below)),))


def count(side: Mapping[str, Any], measure: str) -> int:
    """Return a measure of one side as a number."""
    found = side[measure]
    return len(found) if measure == "names" else int(found)


def shorter(values: tuple[float, ...]) -> str:
    """Say ``shorter`` or ``longer`` if every ratio is beyond EFFECT on that side, else ``alike``."""
    if all(value < 1 / (1 + EFFECT) for value in values):
        return "shorter"
    return "longer" if all(value > 1 + EFFECT for value in values) else "alike"

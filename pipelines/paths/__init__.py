"""The paths to production. Adding one is one file, its line in :data:`PATHS`, and its test.

A path module imports no framework at its top: listing the paths must take milliseconds. It offers::

    CARD                                     what it is (Card)
    package(model, folder, variant)          writes the payload of one variant into an empty folder
    load(folder, threads) -> predict         the payload, loaded in this process by the path's own
                                             runtime; predict maps {input name: array} to {output
                                             name: array}, dimension 0 the batch
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from pipelines.base.errors import unknown

if TYPE_CHECKING:
    import numpy as np

    from models.trained import TrainedModel

PATHS: dict[str, str] = {
    "tf-serving": "pipelines.paths.tf_serving",
    "litert": "pipelines.paths.litert",
    "torchserve": "pipelines.paths.torchserve",
    "onnxruntime": "pipelines.paths.onnxruntime",
}

Arrays = Mapping[str, "np.ndarray"]
Predict = Callable[[Arrays], "dict[str, np.ndarray]"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest distance of a variant's outputs from the reference's at which the path passes.

    ``min_sqnr_db`` is the smallest ratio of the reference's outputs to the differences from them, in dB,
    10 log10(sum of squares / sum of squared differences), over all probes of a set; None sets no limit.
    It is what quantisation changes by an amount that hardly depends on the seed; the largest difference is
    decided by one clipped value. ``min_top1`` is the smallest share of rows, of evaluation data, whose largest
    output is the reference's. ``judges_random`` is False for a variant calibrated on real data, whose ranges noise
    leaves: the differences on random inputs are then reported and not judged. ``atol`` is the largest absolute
    difference of any output value (logits) that passes; None sets no limit.
    """

    min_sqnr_db: float | None
    min_top1: float = 1.0
    judges_random: bool = True
    atol: float | None = None


# Seen over five seeds of mnist_cnn: 124 dB and more; with a wrong epsilon or weights 5 % off: 22 to 26.
FP32 = Tolerance(min_sqnr_db=100)


@dataclass(frozen=True, slots=True)
class Variant:
    """One precision, exporter or option of a path.

    ``framework`` is the one whose form of the model it is made from; ``requires`` the distributions that it is made
    and runs with (their versions are part of the artifact's key).
    """

    summary: str
    framework: str
    requires: tuple[str, ...]
    tolerance: Tolerance = FP32

    def missing(self) -> list[str]:
        """Return the required distributions that are not installed here."""
        return [name for name in self.requires if version_of(name) is None]


@dataclass(frozen=True, slots=True)
class Card:
    """The description of a path, readable without importing its framework.

    ``variants`` maps names to variants, the default first. ``extra`` is the pip extra that brings
    what they require. ``server`` is the module under ``serving`` whose ``recipe`` starts its server, None if
    there is none (``no_server`` then says why); ``container`` the one whose ``container`` starts it in
    a container; ``protocols`` are names of
    :data:`serving.clients.PROTOCOLS`; ``not_spoken`` says of those that one would expect of a server why it
    has none. ``sources`` are the modules, by dotted name, that shape or enter the payload
    besides the path's own.
    """

    name: str
    title: str
    variants: Mapping[str, Variant]
    extra: str
    server: str | None = None
    container: str | None = None
    no_server: str = ""
    protocols: tuple[str, ...] = ()
    not_spoken: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


class PathModule(Protocol):
    CARD: Card

    def package(self, model: TrainedModel, folder: Path, variant: str) -> None: ...
    def load(self, folder: Path, threads: int) -> Predict: ...


def path_module(name: str) -> PathModule:
    """Return the module of a path. Raises UserError, with the nearest names, for one that is unknown."""
    if name not in PATHS:
        raise unknown("path", name, PATHS)
    return cast(PathModule, importlib.import_module(PATHS[name]))


def tolerance_for(path: str, variant: str, atol: float | None) -> Tolerance:
    """Return a variant's tolerance; ``atol`` is the user's, in place of the variant's limit of the differences."""
    own = path_module(path).CARD.variants[variant].tolerance
    return own if atol is None else replace(own, atol=atol, min_sqnr_db=None)


def version_of(distribution: str) -> str | None:
    """Return the installed version of a distribution, None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None

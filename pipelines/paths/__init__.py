"""The paths to production. Adding one is one file, its line in :data:`PATHS`, and its test.

A path module imports no framework at its top: listing the paths must take milliseconds. It offers::

    CARD                                     what it is (Card)
    package(model, folder, variant)          writes the payload of one variant into an empty folder
    holds(folder) -> Holds                   what the payload really holds, read out of its files
    open(folder, threads) -> Session         the payload, loaded by the path's own runtime
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from models.model import FORMS
from pipelines.base.environments import Environment
from pipelines.base.errors import unknown
from pipelines.results import IN_PROCESS, Where

if TYPE_CHECKING:
    import numpy as np

    from models.model import Model
    from models.spec import ModelSpec
    from pipelines.paths.browser.page import BrowserPage
    from pipelines.results import Holds

PATHS: dict[str, str] = {
    "tf-serving": "pipelines.paths.tf_serving",
    "litert": "pipelines.paths.litert",
    "litert-torch": "pipelines.paths.litert_torch",
    "torchserve": "pipelines.paths.torchserve",
    "torch-export": "pipelines.paths.torch_export",
    "torchscript": "pipelines.paths.torchscript",
    "torch-compile": "pipelines.paths.torch_compile",
    "aotinductor": "pipelines.paths.aotinductor",
    "executorch": "pipelines.paths.executorch",
    "onnxruntime": "pipelines.paths.onnxruntime",
    "openvino": "pipelines.paths.openvino",
    "tfjs": "pipelines.paths.tfjs",
    "onnxruntime-web": "pipelines.paths.onnxruntime_web",
    "litert-web": "pipelines.paths.litert_web",
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
    difference of any output value (logits) that passes; None sets no limit. ``min_top1`` is of models whose outputs
    are classes; of those whose outputs are vectors, ``min_cosine`` is the smallest cosine of a row and its reference.
    """

    min_sqnr_db: float | None
    min_top1: float = 1.0
    min_cosine: float = 0.99999
    judges_random: bool = True
    atol: float | None = None


# Seen over five seeds of mnist_cnn: 124 dB and more; with a wrong epsilon or weights 5 % off: 22 to 26.
FP32 = Tolerance(min_sqnr_db=100)


@dataclass(frozen=True, slots=True)
class Variant:
    """One precision, exporter or option of a path.

    ``takes`` is the form of the model that it is made from, of ``framework``, and ``also`` are those that are tried
    after it, of a user's file; ``requires`` the distributions that it is made and runs with (their versions are part of
    the artifact's key). ``precision`` is the coarsest that its weights or its arithmetic have: a model says by it what
    it may lose. ``texts`` tells that inputs may be texts. ``memory_gb`` is the most memory that packaging it, or
    verifying, was seen to take, rounded up (1e9 bytes).
    """

    summary: str
    takes: str
    requires: tuple[str, ...]
    tolerance: Tolerance = FP32
    precision: Literal["fp32", "fp16", "bf16", "int8-dynamic", "int8"] = "fp32"
    also: tuple[str, ...] = ()
    texts: bool = False
    memory_gb: float = 2.0

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that it can be made from, its own first."""
        return (self.takes, *self.also)

    @property
    def framework(self) -> str:
        """The framework whose form of the model this is made from."""
        return FORMS[self.takes]

    def missing(self) -> list[str]:
        """Return the required distributions that are not installed here."""
        return [name for name in self.requires if version_of(name) is None]


@dataclass(frozen=True, slots=True)
class Card:
    """The description of a path, readable without importing its framework.

    ``variants`` maps names to variants, the default first. ``extra`` is the pip extra that brings what they require.
    ``environment`` has the libraries that it is packaged with and that cannot lie beside slipway's own; None if there
    are none. ``where`` says where a session of it predicts: in the process that opens it, or in a browser. ``server``
    is the module under ``serving`` whose ``recipe`` starts its server, None if there is none (``no_server`` then says
    why); ``container`` the one whose ``container`` starts it in a container; ``protocols`` are names of
    :data:`serving.clients.PROTOCOLS`; ``not_spoken`` says of those that one would expect of a server why it has none.
    ``sources`` are the modules, by dotted name, that shape, enter or read the payload besides the path's own.
    """

    name: str
    title: str
    variants: Mapping[str, Variant]
    extra: str
    environment: Environment | None = None
    where: Where = IN_PROCESS
    server: str | None = None
    container: str | None = None
    no_server: str = ""
    protocols: tuple[str, ...] = ()
    not_spoken: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    @property
    def takes(self) -> tuple[str, ...]:
        """The forms of a model that its variants are made from, that of the default first."""
        return tuple(dict.fromkeys(variant.takes for variant in self.variants.values()))

    @property
    def ways(self) -> tuple[str, ...]:
        """The names of its rows: where its session predicts, then its server's protocols."""
        return (self.where, *self.protocols)


@dataclass(frozen=True, slots=True)
class Session:
    """A payload, loaded by its runtime.

    ``predict`` maps {input name: array} to {output name: array}, dimension 0 the batch. ``processes`` are the process
    numbers of those that compute: this one, unless the runtime has its own. ``page`` is that of a browser, for load
    tests on its own clock; None in process.
    """

    predict: Predict
    close: Callable[[], None] = lambda: None
    processes: tuple[int, ...] = field(default_factory=lambda: (os.getpid(),))
    page: BrowserPage | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PathModule(Protocol):
    CARD: Card

    def package(self, model: Model, folder: Path, variant: str) -> None: ...
    def holds(self, folder: Path) -> Holds: ...
    def open(self, folder: Path, threads: int) -> Session: ...


def path_module(name: str) -> PathModule:
    """Return the module of a path. Raises UserError, with the nearest names, for one that is unknown."""
    if name not in PATHS:
        raise unknown("path", name, PATHS)
    return cast(PathModule, importlib.import_module(PATHS[name]))


def tolerance_for(path: str, variant: str, spec: ModelSpec, atol: float | None) -> Tolerance:
    """Return the tolerance of a variant of a model; ``atol`` is the user's, in place of the limit of the differences.

    A model's own floor of the variant's precision takes the place of the path's.
    """
    chosen = path_module(path).CARD.variants[variant]
    own, floor = chosen.tolerance, spec.floors.get(chosen.precision)
    if floor is not None:
        own = replace(own, min_sqnr_db=floor.min_sqnr_db, min_top1=floor.min_agreement, min_cosine=floor.min_agreement)
    return own if atol is None else replace(own, atol=atol, min_sqnr_db=None)


def version_of(distribution: str) -> str | None:
    """Return the installed version of a distribution, None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None

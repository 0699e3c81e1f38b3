"""Describes a model apart from any framework: its tensors, their values, its task and the picture it expects.

Nothing here imports a framework, so that a command can describe a model in milliseconds.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from models import MODELS

if TYPE_CHECKING:
    import numpy as np

    from models.task import Task

BATCH = "batch"
"""The name of dimension 0."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Real numbers, any from ``low`` to ``high``."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Return random values of this kind."""
        return rng.uniform(self.low, self.high, shape).astype(dtype)


@dataclass(frozen=True, slots=True)
class Integers:
    """Whole numbers from ``low`` to ``high``, both included."""

    low: int
    high: int

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Return random values of this kind."""
        return rng.integers(self.low, self.high, shape, endpoint=True).astype(dtype)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some values, such as the 0 and 1 of a mask, or texts."""

    values: tuple[float, ...] | tuple[str, ...]

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Return random values of this kind."""
        return rng.choice(self.values, shape).astype(dtype)


@dataclass(frozen=True, slots=True)
class Mask:
    """Ones, then zeros: each row of the last dimension begins with one 1 or more, and what follows is padding."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Return random values of this kind: each number of ones, from 1 to all, is equally likely."""
        import numpy as np

        ones = rng.integers(1, shape[-1], (*shape[:-1], 1), endpoint=True)
        return np.asarray(np.arange(shape[-1]) < ones).astype(dtype)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named tensor of a signature.

    ``shape`` holds a name where a dimension is free; dimension 0 is ``batch``. Dimensions of one name have one size.
    ``dtype`` is numpy's name of the element type, for example ``float32``, or ``str`` for texts of any length.
    ``values`` are those that an input may have; an output has none.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    values: Uniform | Integers | OneOf | Mask | None = None

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """The shape, None where a dimension is free."""
        return tuple(size if isinstance(size, int) else None for size in self.shape)

    def has_type_of(self, array: np.ndarray) -> bool:
        """Tell if an array's elements are of this type."""
        return array.dtype.kind == "U" if self.dtype == "str" else array.dtype.name == self.dtype

    def shape_with(self, free: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape with these sizes in place of the names. Raises KeyError for a name without a size."""
        return tuple(size if isinstance(size, int) else free[size] for size in self.shape)


@dataclass(frozen=True, slots=True)
class ImagePreprocessing:
    """The steps from a decoded picture (uint8, 0..255) to one input tensor: ``(pixel - offset) / scale``.

    ``channels`` is 1 for greyscale (the tensor then has no channel dimension) or 3 for RGB. ``ground`` is the grey
    (0..255) behind the subjects of the training data: a picture's transparent parts show it. ``crop`` is the share of
    the largest centred part with the tensor's proportions that is scaled to its size; None for a model that expects
    pictures of its own size: others are fitted on demand only, with a share of 1.
    """

    height: int
    width: int
    channels: int
    offset: float
    scale: float
    ground: int
    crop: float | None = None


@dataclass(frozen=True, slots=True)
class TextPreprocessing:
    """The steps from a text to two input tensors: numbered parts of words, and a mask of those that are no padding.

    ``tokenizer`` is the file in the trained model's folder that says how a text is divided, in the format of the
    library tokenizers; ``max_tokens`` are kept of a longer text; ``pad`` is the padding's number.
    """

    tokenizer: str
    max_tokens: int
    pad: int = 0


@dataclass(frozen=True, slots=True)
class Floor:
    """Sets the least that a model's outputs in one precision must keep of the reference.

    ``min_sqnr_db`` is a ratio in dB, ``min_agreement`` the smallest share of rows with the reference's top class, of
    classes, or the smallest cosine of a row, of vectors.
    """

    min_sqnr_db: float
    min_agreement: float


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The contract that every path of a model keeps.

    ``rate_per_s`` is the load that the ``server`` scenario offers when the user names none: one
    rate for all paths, so that their latencies can be compared, and low enough for the slowest
    of them on two cores. ``offline_batch`` is the number of rows in a request of the ``offline`` scenario, a divisor of
    32: as many as a user would send at once, and as the slowest path answers in a second. ``lengths`` holds, for each
    free dimension but the batch, its smallest and largest size. ``max_batch`` is the largest batch of a runtime that
    plans its memory beforehand, and of a calibration that keeps all inner values. ``floors`` has, by precision
    (:class:`pipelines.paths.Variant`), what this network loses more of than the paths allow by themselves.
    """

    name: str
    title: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    task: Task
    rate_per_s: float
    offline_batch: int = 16
    preprocessing: ImagePreprocessing | TextPreprocessing | None = None
    lengths: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    max_batch: int = 256
    floors: Mapping[str, Floor] = field(default_factory=dict)

    @property
    def picture(self) -> ImagePreprocessing | None:
        """The way from a picture to the input; None for a model that takes none."""
        return self.preprocessing if isinstance(self.preprocessing, ImagePreprocessing) else None

    @property
    def text(self) -> TextPreprocessing | None:
        """The way from a text to the inputs; None for a model that takes none."""
        return self.preprocessing if isinstance(self.preprocessing, TextPreprocessing) else None

    @property
    def raw_text(self) -> TensorSpec | None:
        """The only input, of a model that takes texts as they are, one a row; None for other models."""
        first, *others = self.inputs
        return first if first.dtype == "str" and not others and set(first.shape[1:]) <= {1} else None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; empty without."""
        return getattr(self.task, "labels", ())

    def signature(self) -> dict[str, list[dict[str, Any]]]:
        """Return the names, dtypes and shapes of inputs and outputs as plain data, for a manifest."""

        def plain(tensor: TensorSpec) -> dict[str, Any]:
            return {key: value for key, value in asdict(tensor).items() if key != "values"}

        return {"inputs": [*map(plain, self.inputs)], "outputs": [*map(plain, self.outputs)]}

    def draw(self, rows: int, free: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
        """Return random inputs of ``rows`` rows: each input's declared values, free dimensions of the given sizes."""
        import numpy as np

        rng = np.random.default_rng(seed)
        return {
            tensor.name: tensor.values.draw(rng, tensor.shape_with({**free, BATCH: rows}), tensor.dtype)
            for tensor in self.inputs
            if tensor.values is not None
        }


def fits(shape: Sequence[int], sizes: Sequence[int | None]) -> bool:
    """Tell if an array's shape is that of a tensor, whose free dimensions are None."""
    return len(shape) == len(sizes) and all(size in (None, got) for size, got in zip(sizes, shape, strict=True))


def spec_of(name: str) -> ModelSpec:
    """Return the spec of a model without importing a framework. Raises KeyError for an unknown name."""
    spec = importlib.import_module(MODELS[name]).SPEC
    assert isinstance(spec, ModelSpec)  # noqa: S101 - a bug of the model's package
    return spec

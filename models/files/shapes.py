"""Names free dimensions, and chooses the values of inputs that a file does not bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from models.files import UNKNOWN_RANK, FileFacts
from models.spec import BATCH, Integers, OneOf, TensorSpec, Uniform

MASK = Integers(0, 1)
"""Whole numbers that fit any table, mask or type: those of an input that the file does not bound."""
REAL = Uniform(-1.0, 1.0)
BYTES = Integers(0, 255)
FREED = {"keras": None, "onnx": None, "pt2": 1}
"""Maps the kinds of files that can be had with any number of rows, though they fix it, to the only number that they
may fix; None for any."""


def shape_of(sizes: Sequence[int | str | None] | None) -> tuple[int | str, ...]:
    """Name the free dimensions (None) of a shape; without a shape, any number of dimensions.

    A dimension is named by its place. So those of several inputs that lie at the same place have one size when inputs
    are drawn: where a model ties them, such as tokens and their mask, that is needed, and elsewhere it is allowed.
    """
    if sizes is None:
        return (UNKNOWN_RANK,)
    return tuple(
        size if size is not None else BATCH if place == 0 else f"dim_{place}" for place, size in enumerate(sizes)
    )


def values_of(dtype: str, table: int | None = None) -> Uniform | Integers | OneOf | None:
    """Choose the values of an input; ``table`` is the number of rows of the table that it looks up, if known.

    Strings have none: nothing in a file says which ones make sense.
    """
    if table:
        return Integers(0, table - 1)
    if dtype == "bool":
        return OneOf((0.0, 1.0))
    if dtype == "uint8":
        return BYTES
    if dtype.startswith(("int", "uint")):
        return MASK
    return None if dtype == "str" else REAL


def fixed_batch(inputs: Iterable[TensorSpec]) -> int | None:
    """Return the number of rows that the inputs fix; None if one of them leaves it free, or none has rows."""
    first = [tensor.shape[0] for tensor in inputs if tensor.shape]
    return min((size for size in first if isinstance(size, int)), default=None) if BATCH not in first else None


def can_be_freed(facts: FileFacts) -> bool:
    """Tell if a file fixes the number of rows, and is of a kind that can be had with any."""
    return facts.batch is not None and facts.kind in FREED and FREED[facts.kind] in (None, facts.batch)


def freed(facts: FileFacts) -> FileFacts:
    """Return the facts with any number of rows, of a file that can be had so; others are left as they are."""
    if not can_be_freed(facts):
        return facts

    def free(tensor: TensorSpec) -> TensorSpec:
        fixed = tensor.shape[:1] == (facts.batch,)
        return replace(tensor, shape=(BATCH, *tensor.shape[1:])) if fixed else tensor

    inputs, outputs = tuple(map(free, facts.inputs)), tuple(map(free, facts.outputs))
    return replace(facts, batch=None, inputs=inputs, outputs=outputs)

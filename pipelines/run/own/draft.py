"""Makes the spec of a user's model from what its file says and what its user says. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from models.files import UNKNOWN_RANK, FileFacts
from models.files.kept import task_named
from models.files.model import EVALUATION, LABELS
from models.spec import BATCH, Floor, ImagePreprocessing, Integers, Mask, ModelSpec, OneOf, TensorSpec, Uniform
from models.task import Classes
from pipelines.artifacts.parity import BATCHES
from pipelines.base.errors import UserError, unknown
from pipelines.run.own.wishes import InputWish, SpecWishes

if TYPE_CHECKING:
    import numpy as np

SHORT, LONG = 8, 64
"""The bounds of a free length that neither the file nor the user bounds."""
TYPES = re.compile("str|bool|u?int(8|16|32|64)|float(16|32|64)")
"""The types of inputs that arrays and protocols have."""
OF_TEXTS = ("keras", "saved_model")
"""The kinds of files whose inputs may be texts."""
MOST_TEXTS = 64
"""The largest number of a user's texts that random inputs are drawn from."""


def draft(name: str, facts: FileFacts, wishes: SpecWishes) -> ModelSpec:
    """Return the spec; shapes of outputs that the file does not say are left unknown. Raises UserError."""
    if facts.batch is not None:
        raise UserError(
            f"the file takes {facts.batch} row{'s' if facts.batch > 1 else ''} a call, and servers batch as many as "
            "come. Export it with a free first dimension: docs/your-model.md shows how"
        )
    if facts.most_rows is not None and facts.most_rows < max(BATCHES):
        raise UserError(
            f"the file takes {facts.most_rows} rows a call at most, and batches of {max(BATCHES)} are sent. Export it "
            "with a larger bound, or none: docs/your-model.md shows how"
        )
    for tensor in facts.inputs:
        if UNKNOWN_RANK in tensor.shape:
            raise UserError(f"the file does not say the shape of {tensor.name}. Export it with a shape for each input")
        if tensor.shape[:1] != (BATCH,):
            raise UserError(
                f"{tensor.name} has the shape {tensor.shape}, and its first dimension has to be free: the rows. "
                "Build the input into the model, or give it a row for each sample"
            )
        if not TYPES.fullmatch(tensor.dtype):
            raise UserError(f"{tensor.name} is of the type {tensor.dtype}, which cannot be sent. Cast it in the model")
        if tensor.dtype == "str" and facts.kind not in OF_TEXTS:
            raise UserError(
                f"{tensor.name} takes texts, which no path takes from a file of the kind {facts.kind}: it can be "
                "inspected, and is not run"
            )
    _check_names(wishes.inputs, facts)
    inputs = tuple(replace(one, values=_values(one, wishes.inputs.get(one.name))) for one in facts.inputs)
    names = {size for one in inputs for size in one.shape[1:] if isinstance(size, str)}
    for key in wishes.lengths:
        if key not in names:
            raise (
                unknown("free dimension", key, names)
                if names
                else UserError(f"the model has no free dimension besides the rows. Received: lengths.{key}")
            )
    picture = None if wishes.picture is None else ImagePreprocessing(**asdict(wishes.picture))
    if picture is not None:
        wanted = (picture.height, picture.width, *((3,) if picture.channels == 3 else ()))
        if len(inputs) != 1 or inputs[0].sizes[1:] != wanted:
            shapes = ", ".join(f"{one.name} {one.shape}" for one in inputs)
            raise UserError(
                f"[picture] makes one input of shape (N, {', '.join(map(str, wanted))}). Received: {shapes}"
            )
    return ModelSpec(
        name=name,
        title=wishes.title or f"{name}, a user's own {facts.kind}",
        inputs=inputs,
        outputs=facts.outputs,
        task=task_named(wishes.task or ("classes" if wishes.labels else "plain"), wishes.labels),
        rate_per_s=wishes.rate_per_s,
        preprocessing=picture,
        lengths={key: _length(key, facts, wishes) for key in sorted(names)},
        max_batch=min(wishes.max_batch, facts.most_rows or wishes.max_batch),
        floors={key: Floor(floor.min_sqnr_db, floor.min_agreement) for key, floor in wishes.floors.items()},
    )


def finished(spec: ModelSpec, outputs: tuple[TensorSpec, ...], *, probabilities: bool) -> ModelSpec:
    """Return the spec with the outputs that the model gave. Raises UserError if the first one has no classes."""
    if not isinstance(spec.task, Classes):
        return replace(spec, outputs=outputs)
    first, labels = outputs[0], spec.labels
    columns = first.shape[1] if len(first.shape) == 2 else None
    if not isinstance(columns, int) or not first.dtype.startswith("float") or (labels and columns != len(labels)):
        wanted = f"{len(labels)} classes" if labels else "classes"
        raise UserError(
            f"the first output has to have a score for each of {wanted}. Received: {first.name}, {first.dtype} of "
            f'shape {first.shape}. Give other labels, or task = "plain" with --spec'
        )
    return replace(spec, outputs=outputs, task=Classes(labels, probabilities=probabilities))


def with_texts(spec: ModelSpec, samples: Mapping[str, np.ndarray] | None) -> ModelSpec:
    """Return the spec with texts of the samples to draw from, where the user said none. Raises UserError without."""

    def known(tensor: TensorSpec) -> TensorSpec:
        if tensor.dtype != "str" or tensor.values is not None:
            return tensor
        if samples is None:
            raise UserError(
                f"{tensor.name} takes texts, and no file says which ones make sense. Give some: --inputs samples.npz, "
                f'or [inputs.{tensor.name}] values = ["one", "another"] with --spec'
            )
        found = dict.fromkeys(str(text) for text in samples[f"{EVALUATION}/{tensor.name}"].ravel())
        return replace(tensor, values=OneOf(tuple(found)[:MOST_TEXTS]))

    return replace(spec, inputs=tuple(map(known, spec.inputs)))


def check_labels(spec: ModelSpec, samples: Mapping[str, np.ndarray] | None) -> None:
    """Raise UserError if a sample's label is no class of the first output."""
    if samples is None or LABELS not in samples or not isinstance(spec.task, Classes):
        return
    classes, found = int(spec.outputs[0].shape[1]), samples[LABELS]
    if found.min() < 0 or found.max() >= classes:
        raise UserError(f"labels of samples are 0 to {classes - 1}. Received: {found.min()} to {found.max()}")


def _check_names(said: Mapping[str, InputWish], facts: FileFacts) -> None:
    known = [tensor.name for tensor in facts.inputs]
    for name in said:
        if name not in known:
            raise unknown("input", name, known)


def _values(tensor: TensorSpec, wish: InputWish | None) -> Uniform | Integers | OneOf | Mask | None:
    """Return the values to probe an input with: the user's, otherwise those that the file allows."""
    if wish is None:
        return tensor.values
    texts = tensor.dtype == "str"
    if wish.mask and not texts:
        return Mask()
    if wish.values:
        if any(isinstance(value, str) != texts for value in wish.values):
            wanted = "texts" if texts else "numbers"
            raise UserError(f"inputs.{tensor.name}: values have to be {wanted}. Received: {list(wish.values)[:3]}")
        return OneOf(wish.values)
    if texts:
        raise UserError(f"inputs.{tensor.name}: give values, which are texts. Received: {wish}")
    if wish.low is None or wish.high is None or wish.low > wish.high:
        raise UserError(f"inputs.{tensor.name}: give low and high, values, or mask. Received: {wish}")
    if tensor.dtype.startswith("float"):
        return Uniform(wish.low, wish.high)
    return Integers(int(wish.low), int(wish.high))


def _length(name: str, facts: FileFacts, wishes: SpecWishes) -> tuple[int, int]:
    """Return the bounds of a free dimension: the user's, within those of the file. Raises UserError."""
    least, most = facts.lengths.get(name, (1, None))
    low, high = wishes.lengths.get(name, (max(least, SHORT), max(least, LONG)))
    if name not in wishes.lengths and most is not None:
        low, high = min(low, most), min(high, most)
    if low > high or low < least or (most is not None and high > most):
        raise UserError(
            f"lengths.{name}: the file allows {least} to {'any size' if most is None else most}. "
            f"Received: {low} to {high}"
        )
    return low, high

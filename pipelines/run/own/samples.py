"""Reads a user's samples, and divides them: some to calibrate with, the others to judge by."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from models.files.model import CALIBRATION, EVALUATION, LABELS
from models.spec import ModelSpec, fits
from pipelines.base.errors import UserError
from pipelines.base.files import MIB, read_bounded
from pipelines.run.inputs import UNREADABLE

MAX_BYTES = 1024 * MIB
LABEL_KEY = "labels"
LEAST_ROWS = 4
CALIBRATION_ROWS = 256
JUDGED_ROWS = 1_000
Arrays = dict[str, np.ndarray]


def read_samples(file: Path, spec: ModelSpec) -> Arrays:
    """Read an .npz file with an array for each input, one row a sample, and ``labels`` if they are known.

    Half of the rows, CALIBRATION_ROWS at most, are for calibration only; of the others JUDGED_ROWS at most are judged.
    Returns the arrays under the names that :class:`models.files.model.FileModel` reads. Raises UserError.
    """
    arrays = _arrays(file)
    labels = arrays.pop(LABEL_KEY, None)
    wanted = [tensor.name for tensor in spec.inputs]
    if sorted(arrays) != sorted(wanted):
        raise UserError(
            f"{file}: expected the arrays {', '.join(wanted)}, and labels if they are known. "
            f"Received: {', '.join(sorted(arrays)) or 'none'}"
        )
    rows = {len(array) if array.ndim else 0 for array in (*arrays.values(), *([] if labels is None else [labels]))}
    if len(rows) != 1 or min(rows) < LEAST_ROWS:
        raise UserError(f"{file}: expected {LEAST_ROWS} rows or more, as many in each array. Received: {sorted(rows)}")
    for tensor in spec.inputs:
        array = arrays[tensor.name]
        if not tensor.has_type_of(array) or not fits(array.shape, tensor.sizes):
            shape = ", ".join("N" if number == 0 else str(size) for number, size in enumerate(tensor.shape))
            raise UserError(
                f"{file}: expected {tensor.name} to be {tensor.dtype} of shape ({shape}). "
                f"Received: {array.dtype} of shape {array.shape}"
            )
        for axis, size in enumerate(tensor.shape[1:], start=1):
            low, high = spec.lengths.get(str(size), (array.shape[axis], array.shape[axis]))
            if not low <= array.shape[axis] <= high:
                raise UserError(
                    f"{file}: {tensor.name} has {size} = {array.shape[axis]}, and the spec allows {low} to {high}. Say "
                    f"[lengths] {size} = [...] with --spec"
                )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UserError(f"{file}: expected finite numbers in {tensor.name}. Received: NaN or infinity")
    (count,) = rows
    cut = min(count // 2, CALIBRATION_ROWS)
    end = min(count, cut + JUDGED_ROWS)
    found = {f"{CALIBRATION}/{name}": array[:cut] for name, array in arrays.items()}
    found |= {f"{EVALUATION}/{name}": array[cut:end] for name, array in arrays.items()}
    if labels is not None:
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise UserError(
                f"{file}: expected labels to be whole numbers, one a row. "
                f"Received: {labels.dtype} of shape {labels.shape}"
            )
        found[LABELS] = labels[cut:end].astype(np.int64)
    return {key: np.ascontiguousarray(array) for key, array in found.items()}


def _arrays(file: Path) -> Arrays:
    data = read_bounded(file, MAX_BYTES, "the samples")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise UserError(f"{file} may unpack to {MAX_BYTES} bytes. Received: {size}")
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except UNREADABLE as error:
        raise UserError(f"{file} is not a readable .npz file. Received: {error}") from error

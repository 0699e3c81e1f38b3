"""Takes a user's model: what runs in the caged process, with the file's own runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.files.forms import answers
from models.files.model import FileModel, load
from models.files.plain import tensor_plain
from models.model import NotThisForm
from models.spec import BATCH, TensorSpec
from pipelines.artifacts import reference
from pipelines.base.errors import SlipwayError, UserError
from pipelines.stages.answers import REFERENCE

ROWS = 2, 3
SEED = 7
TURNS = 3
"""Counts the calls of a file that fixes its rows: their answers are compared with one call of all rows."""
SUM_TOLERANCE = 1e-3
APART = 1e-3
"""The largest difference of two answers to one row, as a share of the largest number: batches round otherwise."""
FREE = "Export it with a free first dimension: docs/your-model.md shows how"
ADVICE = "If they are not what the model takes, say so with --spec: docs/your-model.md"


def complete(folder: str, out: str) -> dict[str, Any]:
    """Call the model in ``folder``; write the reference into ``out``, and return what only a call tells.

    That is ``outputs`` with their shapes and dtypes, as plain data, and if the first one has ``probabilities``.
    Raises UserError for a model that cannot be called as its file says.
    """
    model = load(Path(folder))
    try:
        found = outputs_of(model)
        check_rows_apart(model)
        reference.compute(model, Path(out) / REFERENCE)
    except NotThisForm as error:
        raise SlipwayError(str(error)) from error
    except (UserError, MemoryError):
        raise
    except Exception as error:  # a runtime raises what it likes, about a model that nobody here knows
        raise UserError(f"its own runtime does not answer all of the inputs: {_words(error)}. {ADVICE}") from error
    scores = reference.read(Path(out) / REFERENCE).outputs[reference.RANDOM][found[0].name]
    return {"outputs": [*map(tensor_plain, found)], "probabilities": are_probabilities(scores)}


def check_rows_apart(model: FileModel) -> None:
    """Raise UserError if the answer to a row depends on the rows beside it, or is another one each time.

    Servers put the rows of several requests into one call.
    """
    lows = {name: low for name, (low, _) in model.spec.lengths.items()}
    inputs = model.spec.draw(max(ROWS), lows, SEED)
    together = _answer(model, max(ROWS), lows)
    for row in range(max(ROWS)):
        alone = model.reference({name: one[row : row + 1] for name, one in inputs.items()})
        for name, one in alone.items():
            expected = together[name][row : row + 1]
            if not np.allclose(one, expected, rtol=APART, atol=APART * float(np.abs(together[name]).max())):
                raise UserError(
                    f"{name}: its answer to a row is another one without the {max(ROWS) - 1} rows beside it. Servers "
                    "put the rows of several requests into one call, so such a model cannot be served"
                )


def are_probabilities(scores: np.ndarray) -> bool:
    """Tell if each row is a distribution: as a softmax leaves it, and no logits would be."""
    rows = scores.reshape(len(scores), -1)
    return bool(rows.dtype.kind == "f" and rows.min() >= 0 and np.abs(rows.sum(1) - 1).max() <= SUM_TOLERANCE)


def join(path: str, place: str) -> None:
    """Write an ``.onnx`` file together with the weights that lie beside it. Raises UserError if protobuf cannot."""
    import onnx
    from google.protobuf.message import EncodeError

    try:
        onnx.save(onnx.load(path), place)
    except (ValueError, EncodeError) as error:
        raise UserError(f"{path} with its weights is larger than one file may be: {error}") from error


def free_rows(folder: str, out: str, batch: int) -> None:
    """Check that a model which takes ``batch`` rows by its file answers any number as it answers those.

    Of an ``.onnx`` file, one that says so is written into ``out``: only the shapes of inputs and outputs are changed.
    Raises UserError for a model that has the number in its network, or mixes rows.
    """
    model, fixes = load(Path(folder)), f"{batch} row{'s' if batch > 1 else ''} a call"
    inputs = model.spec.draw(TURNS * batch, {name: low for name, (low, _) in model.spec.lengths.items()}, SEED)
    turns = [{name: one[at : at + batch] for name, one in inputs.items()} for at in range(0, TURNS * batch, batch)]
    try:
        fixed, free = answers.fixed_and_free(model, Path(out), batch)
        parts = [*map(fixed, turns)]
        found = [free(inputs), free({name: one[:1] for name, one in inputs.items()})]
    except Exception as error:  # a runtime raises what it likes
        raise UserError(f"the file takes {fixes}, and no other number: {_words(error)}. {FREE}") from error
    for name in parts[0]:
        expected = np.concatenate([part[name] for part in parts])
        for rows, answer in ((len(expected), found[0][name]), (1, found[1][name])):
            if answer.shape != expected[:rows].shape or not np.allclose(answer, expected[:rows], 1e-4, 1e-5):
                raise UserError(f"the file takes {fixes}, and answers otherwise with {rows}. {FREE}")


def outputs_of(model: FileModel) -> tuple[TensorSpec, ...]:
    """Return the outputs with the shapes that answers have: what follows the rows, or a free length, is free."""
    lows = {name: low for name, (low, _) in model.spec.lengths.items()}
    by_rows = [_answer(model, rows, lows) for rows in ROWS]
    longer = {
        name: _answer(model, ROWS[0], {**lows, name: low + 1}) for name, low in lows.items() if _grows(model, name)
    }
    return tuple(
        TensorSpec(tensor.name, str(by_rows[0][tensor.name].dtype), _shape(tensor.name, by_rows, longer))
        for tensor in model.spec.outputs
    )


def _grows(model: FileModel, name: str) -> bool:
    low, high = model.spec.lengths[name]
    return high > low


def _answer(model: FileModel, rows: int, free: Mapping[str, int]) -> dict[str, np.ndarray]:
    inputs = model.spec.draw(rows, free, SEED)
    try:
        found = model.reference(inputs)
    except (NotThisForm, MemoryError):
        raise
    except Exception as error:  # a runtime raises what it likes, about a model that nobody here knows
        shapes = ", ".join(f"{name} {one.dtype} {one.shape}" for name, one in inputs.items())
        raise UserError(
            f"its own runtime does not answer random inputs ({shapes}): {_words(error)}. {ADVICE}"
        ) from error
    for name, one in found.items():
        if one.dtype.kind not in "fiub" or one.ndim == 0 or len(one) != rows:
            raise UserError(
                f"an output has to be numbers, one row for each of {rows}. Received: {name}, {one.dtype} of shape "
                f"{one.shape}"
            )
        if one.dtype.kind == "f" and not np.isfinite(one).all():
            raise UserError(
                f"its own runtime answers random inputs with NaN or infinity in {name}. Say with --spec "
                "which values the inputs may have"
            )
    return found


def _shape(
    name: str, by_rows: list[dict[str, np.ndarray]], longer: Mapping[str, dict[str, np.ndarray]]
) -> tuple[int | str, ...]:
    sizes: list[int | str] = list(by_rows[0][name].shape)
    for free, answer in {BATCH: by_rows[1], **longer}.items():
        for axis, size in enumerate(answer[name].shape):
            if size != by_rows[0][name].shape[axis]:
                sizes[axis] = free
    return tuple(sizes)


def _words(error: Exception) -> str:
    """Return the type and the first words of an error, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"

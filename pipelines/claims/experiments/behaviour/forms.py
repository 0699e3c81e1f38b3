"""The forms of control flow that a model's structure can hang on, as mathematics in numpy: the truth for all paths.

Each takes float32 (rows, 3) and multiplies by WEIGHT, which is a variable in the frameworks' versions.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.claims.experiments.behaviour.parts import DEPRECATIONS

WEIGHT = 1.5
LIMIT = 50.0
EXPERTS = (1.0, 2.0, 3.0)
TOLERANCE = 1e-4
"""The largest relative difference of an answer; a wrong branch, or a wrong number of turns, is 0.3 and more off."""

ENDS = 100
"""Characters kept of either end of a message."""

OK, REFUSED, WRONG, FAILED = "ok", "refused", "silently wrong", "failed"
"""An outcome: all answers right; an error when it is converted; a wrong answer and no error; an error when it is used
with an input other than the example."""


@dataclass(frozen=True, slots=True)
class Form:
    """One form: ``answer`` is its mathematics, ``rows`` and ``first`` are those of its inputs, the example first.

    An input has so many rows and so large values. Together they take both branches, and need different numbers of
    turns: a path that keeps only the example's way gives a wrong answer for another.
    """

    answer: Callable[[np.ndarray], np.ndarray]
    rows: Sequence[int]
    first: Sequence[float]
    plain: bool = True
    """Whether it is Python's own statement, not an operator of the framework."""

    def inputs(self) -> list[np.ndarray]:
        """Return its inputs, float32 (rows, 3)."""
        return [np.full((rows, 3), first, "float32") for rows, first in zip(self.rows, self.first, strict=True)]


def _branch(x: np.ndarray) -> np.ndarray:
    y = x * WEIGHT
    return y * 2 if y.sum() > 0 else y - 1


def _while(x: np.ndarray) -> np.ndarray:
    y = x * WEIGHT
    while y.sum() < LIMIT:
        y = y * 2
    return y


def _range(x: np.ndarray) -> np.ndarray:
    y = x * WEIGHT
    for _ in range(int(x[0, 0])):
        y = y * 2
    return y


def _break(x: np.ndarray) -> np.ndarray:
    y = x * WEIGHT
    for _ in range(6):
        if y.sum() > LIMIT:
            break
        y = y * 2
    return y


def _rows_if(x: np.ndarray) -> np.ndarray:
    y = x * WEIGHT
    return y * 2 if x.shape[0] > 2 else y - 1


def _rows_range(x: np.ndarray) -> np.ndarray:
    y = x[0] * 0
    for row in range(x.shape[0]):
        y = y * 0.5 + x[row] * WEIGHT
    return y


def _expert(x: np.ndarray) -> np.ndarray:
    return x * WEIGHT * EXPERTS[int(x[0, 0])]


def _where(x: np.ndarray) -> np.ndarray:
    y = x * WEIGHT
    return np.where(y > 0, y * 2, y - 1)


FORMS: Mapping[str, Form] = {
    "if": Form(_branch, (2, 2, 3), (1.0, -1.0, 2.0)),
    "while": Form(_while, (2, 2, 3), (1.0, 9.0, 0.5)),
    "range": Form(_range, (2, 2, 3), (1.0, 3.0, 2.0)),
    "break": Form(_break, (2, 2, 3), (1.0, 9.0, 0.1)),
    "shape-if": Form(_rows_if, (2, 3, 5), (1.0, 1.0, 1.0)),
    "shape-range": Form(_rows_range, (2, 3, 5), (1.0, 1.0, 1.0)),
    "list-index": Form(_expert, (2, 2, 3), (1.0, 2.0, 0.5)),
    "cond": Form(_branch, (2, 2, 3), (1.0, -1.0, 2.0), plain=False),
    "while_loop": Form(_while, (2, 2, 3), (1.0, 9.0, 0.5), plain=False),
    "where": Form(_where, (2, 2, 3), (1.0, -1.0, 2.0), plain=False),
}
SHORT = ("if", "shape-if", "cond")
"""The forms of a measurement in the form of a test."""


def right(found: Any, expected: np.ndarray) -> bool:
    """Say whether an answer is right."""
    found = np.asarray(found)
    return found.shape == expected.shape and bool(np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE))


def cell(form: Form, make: Callable[[], Callable[[np.ndarray], Any]]) -> dict[str, str]:
    """Convert a form by a path, and ask the result every input: {"outcome", "why", "warned"}.

    An error with the example itself is a refusal. ``warned`` is the kind of a warning that the user was shown,
    deprecations apart; an empty text if there was none.
    """
    outcome, why = OK, ""
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        try:
            call = make()
            call(form.inputs()[0])
        except Exception as error:  # noqa: BLE001 - that a path refuses is its outcome
            outcome, why = REFUSED, short(error)
        else:
            outcome, why = _asked(form, call)
    for one in met:  # whoever collects deprecations hears of them
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    warned = sorted({one.category.__name__ for one in met if not issubclass(one.category, DEPRECATIONS)})
    return {"outcome": outcome, "why": why, "warned": ", ".join(warned)}


def _asked(form: Form, call: Callable[[np.ndarray], Any]) -> tuple[str, str]:
    for x in form.inputs():
        given = f"{x.shape[0]} rows of {x[0, 0]:g}"
        try:
            found = call(x)
        except Exception as error:  # noqa: BLE001 - that it fails is its outcome
            return FAILED, f"{given}: {short(error)}"
        if not right(found, form.answer(x)):
            return WRONG, f"{given}: {np.asarray(found).ravel()[:3].tolist()}"
    return OK, ""


def short(error: BaseException) -> str:
    """Return an error's kind and the beginning and the end of its message, without colours and without folders."""
    text = without_folders(" ".join(re.sub(r"\x1b\[\d+m", "", str(error)).split()))
    return f"{type(error).__name__}: {text if len(text) <= 2 * ENDS else f'{text[:ENDS]} ... {text[-ENDS:]}'}"


def without_folders(text: str) -> str:
    """Shorten the paths in a text to the names of their files: a machine's folders are nobody's business."""
    return re.sub(r"(?<![\w/:])(/[\w.+-]+)+/", "", text)

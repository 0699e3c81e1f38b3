"""Models whose structure changes from call to call, in numpy: what the frameworks' eager versions must compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WEIGHT = 1.5
STEP = 1e-4
TOLERANCE = 1e-3
"""The largest relative difference of an answer or a gradient from the numerical one."""

Tree = Any
"""A leaf is a number, a node a pair of trees."""


@dataclass(frozen=True, slots=True)
class Changing:
    """A model of one weight: ``answer(weight, given)``, asked for each of ``given`` in turn."""

    answer: Callable[[float, Any], float]
    given: Sequence[Any]

    def gradient(self, given: Any) -> float:
        """Return the derivative by the weight, numerically."""
        up, down = self.answer(WEIGHT + STEP, given), self.answer(WEIGHT - STEP, given)
        return (up - down) / (2 * STEP)


def _depth(weight: float, given: float) -> float:
    x = given
    for _ in range(int(given)):
        x = x * weight
    return x


def _branch(weight: float, given: float) -> float:
    return given * weight * weight if given * weight > 3 else given - weight


def _tree(weight: float, given: Tree) -> float:
    if isinstance(given, list):
        left, right = (_tree(weight, part) for part in given)
        return weight * (left + right)
    return float(given)


def _grown(weight: float, given: float) -> float:
    return 2.0 * weight ** (given + 1)


CHANGING: Mapping[str, Changing] = {
    "depth by value": Changing(_depth, (1.0, 3.0, 2.0)),
    "branch by value": Changing(_branch, (1.0, 3.0, 2.5)),
    "recursion over a tree": Changing(_tree, ([1.0, 2.0], [[1.0, 2.0], 3.0], [[1.0, [2.0, 1.0]], [3.0, 4.0]])),
    "a layer more at each call": Changing(_grown, (0.0, 1.0, 2.0)),
}
"""``a layer more at each call``: call number n goes through n + 1 layers; all have the same weight."""


def check(name: str, ask: Callable[[Any], tuple[float, float]]) -> dict[str, Any]:
    """Ask a framework's model every input in turn: {"right", "found": [[answer, gradient]], "expected"}."""
    changing = CHANGING[name]
    found = [[float(one) for one in ask(given)] for given in changing.given]
    expected = [[changing.answer(WEIGHT, given), changing.gradient(given)] for given in changing.given]
    return {"right": bool(np.allclose(found, expected, rtol=TOLERANCE)), "found": found, "expected": expected}

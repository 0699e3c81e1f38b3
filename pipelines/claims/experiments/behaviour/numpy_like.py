"""NumPy's own expressions, with nothing but the module changed: which of them a framework computes, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pipelines.claims.experiments.behaviour.forms import right, short

EXPRESSIONS = (
    *("x + y", "x * 2", "x @ y.T", "x ** 2", "-x", "abs(x)", "x > 1", "x[0]", "x[:, 1]", "x[::2]", "x[..., None]"),
    *("x[x > 0]", "x[[0, 1]]", "x.sum()", "x.mean(axis=0)", "x.max()", "x.reshape(3, 2)", "x.T", "x.argmax()"),
    *("x.astype('int32')", "x.copy()", "x.flatten()", "x.std()", "x.clip(0, 1)", "x.tolist()", "float(x.sum())"),
    *("np.sum(x, axis=0)", "np.exp(x)", "np.dot(x[0], y[0])", "np.where(x > 0, x, 0 * x)", "np.matmul(x, y.T)"),
    *("np.concatenate([x, y], axis=1)", "np.stack([x, y])", "np.zeros((2, 3))", "np.arange(5)", "np.linspace(0, 1, 5)"),
    *("np.argsort(x, axis=1)", "np.einsum('ij,kj->ik', x, y)", "np.linalg.norm(x)", "np.maximum(x, y)"),
    *("np.expand_dims(x, 0)", "np.transpose(x)", "np.sqrt(abs(x))", "np.cumsum(x, axis=0)", "np.log1p(abs(x))"),
)
STATEMENTS = ("x[0, 0] = 7.0", "x[x > 0] = 0.0", "x += 1", "x[:, 0] *= 2")
"""Statements that change ``x`` in its place; the answer is ``x`` afterwards."""
X = ((0.5, -1.0, 2.0), (3.0, 1.5, -0.5))
Y = ((1.0, 2.0, -1.0), (0.5, 0.0, 4.0))


def works_in(module: Any, tensor: Callable[[np.ndarray], Any]) -> dict[str, str]:
    """Compute every expression and statement with ``np`` as that module: {text: ``ok`` or what happened}."""
    return {text: _one(text, module, tensor) for text in (*EXPRESSIONS, *STATEMENTS)}


def names_in(module: Any) -> int:
    """Count NumPy's public functions that a module has one of the same name for; :func:`names` are all of them."""
    return sum(callable(getattr(module, name, None)) for name in names())


def names() -> list[str]:
    """Return the names of NumPy's public functions."""
    return [name for name in np.__all__ if callable(found := getattr(np, name)) and not isinstance(found, type)]


def _one(text: str, module: Any, tensor: Callable[[np.ndarray], Any]) -> str:
    expected = _computed(text, np, np.array)
    try:
        found = np.asarray(_computed(text, module, tensor))
    except Exception as error:  # noqa: BLE001 - that it does not work is the answer
        return short(error)
    return "ok" if right(found, np.asarray(expected)) else f"another answer: {found.ravel()[:3].tolist()}"


def _computed(text: str, module: Any, tensor: Callable[[np.ndarray], Any]) -> Any:
    values = {"np": module, **{name: tensor(np.array(one, "float32")) for name, one in (("x", X), ("y", Y))}}
    if text in STATEMENTS:
        exec(text, values)  # noqa: S102 - from the tuple above
        return values["x"]
    return eval(text, values)  # noqa: S307 - from the tuple above

"""Keeps Keras and TensorFlow from importing libraries that they can do without, but use where they find them.

Keras tries to import scikit-learn, pandas and Matplotlib, TensorFlow tries JAX, each for functions that nothing here
calls. Where other paths need these libraries, TensorFlow would take 40 % more CPU time to start than it does alone
(7.3 s instead of 4.3 s on the machine of docs/benchmarks.md).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType, ModuleType

LOOKED_FOR = frozenset({"jax", "matplotlib", "pandas", "sklearn"})
BY = frozenset({"keras", "tensorflow"})
JAX_BACKEND = "keras.src.backend.jax"
"""Imported only by who has chosen it."""


class _NotForKeras:
    """A finder of modules that says to Keras and TensorFlow that a library is not there; others find it."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:  # noqa: ARG002 - the protocol of finders
        """Raise ModuleNotFoundError if Keras or TensorFlow looks for one of the libraries; else, leave it to others."""
        if name in LOOKED_FOR and (by := _importer()).partition(".")[0] in BY and not by.startswith(JAX_BACKEND):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def import_lean() -> None:
    """Have Keras and TensorFlow, which are imported later in this process, do without the libraries."""
    if not any(isinstance(one, _NotForKeras) for one in sys.meta_path):
        sys.meta_path.insert(0, _NotForKeras())


def _importer() -> str:
    """Return the name of the module that is importing: its frame is the first below those of the import system."""
    frame = sys._getframe(2)
    while frame.f_back is not None and _name(frame).startswith(("importlib", "_frozen_importlib")):
        frame = frame.f_back
    return _name(frame)


def _name(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))  # code that is run from a text may have none

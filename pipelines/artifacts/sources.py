"""Names the code that a key covers: by module, so that a moved or missing file cannot detach a key from its code."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

Source = ModuleType | str
"""A module, or the dotted name of one that imports a framework: such a module is found without importing it."""


def name_of(source: Source) -> str:
    """Return the dotted name of a module."""
    return source if isinstance(source, str) else source.__name__


def place_of(source: Source) -> Path:
    """Return the file of a module, or the folder of a package.

    Raises ModuleNotFoundError for a module that does not exist or has no source file.
    """
    spec = importlib.util.find_spec(source) if isinstance(source, str) else source.__spec__
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise ModuleNotFoundError(f"no source file of the module {name_of(source)}")
    file = Path(spec.origin)
    return file.parent if spec.submodule_search_locations is not None else file

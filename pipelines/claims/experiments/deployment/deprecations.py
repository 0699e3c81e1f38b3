"""Records the deprecations that an experiment meets, with the distribution that said them and its version."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.paths import version_of

LONGEST = 300


@contextmanager
def recorded(distribution: str = "torch") -> Iterator[list[str]]:
    """Collect deprecations as ``distribution version: text``, each once; the list is filled when the block ends.

    ``distribution`` is named for a warning that a library blames on the line that called it.
    """
    met: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield met
    for one in caught:
        text = " ".join(str(one.message).split())[:LONGEST]
        if issubclass(one.category, DeprecationWarning) or "deprecat" in text.lower():
            name = _said_by(one.filename) or distribution
            line = f"{name} {version_of(name) or ''}: {text}".replace(" :", ":")
            if line not in met:
                met.append(line)


def _said_by(file: str) -> str | None:
    """Return the top-level package of a file among installed ones, None for one that is not installed."""
    parts = Path(file).parts
    return parts[parts.index("site-packages") + 1] if "site-packages" in parts[:-2] else None

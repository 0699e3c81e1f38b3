"""Functions that the tests of the bench run in processes of their own."""

from __future__ import annotations

import os
from pathlib import Path


def number(value: float) -> float:
    """Return the value."""
    return value


def count(folder: str, name: str) -> int:
    """Write that it ran; return its process number."""
    with Path(folder, "ran.txt").open("a") as file:
        file.write(f"{name}\n")
    return os.getpid()


def fail_once(folder: str) -> str:
    """Die at the first call."""
    mark = Path(folder, "mark")
    if not mark.exists():
        mark.touch()
        os.abort()
    return "well"


def laid_over() -> str:
    """Import what only an environment has."""
    import slipway_overlay_probe

    return str(slipway_overlay_probe.WORD)

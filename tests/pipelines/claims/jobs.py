"""Functions that the tests of the bench run in processes of their own."""

from __future__ import annotations

import os
import time
from pathlib import Path


def number(value: float) -> float:
    """Return the value."""
    return value


def count(folder: str, name: str) -> int:
    """Write that it ran; return its process number."""
    with Path(folder, "ran.txt").open("a") as file:
        file.write(f"{name}\n")
    return os.getpid()


def parent() -> int:
    """Return the number of the process that this one was forked from."""
    return os.getppid()


def together(folder: str, name: str, other: str) -> bool:
    """Write that it began; return whether the other one did, too, within its time."""
    Path(folder, name).touch()
    until = time.monotonic() + 30
    while time.monotonic() < until and not Path(folder, other).exists():
        time.sleep(0.01)
    return Path(folder, other).exists()


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

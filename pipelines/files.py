"""Files that appear whole or not at all, links, and folders that nobody needs afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside ``path`` and rename over it, so that no reader ever sees half of it. Raises OSError."""
    beside = _beside(path)
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text as :func:`write_bytes` does, in UTF-8."""
    write_bytes(path, text.encode())


def link(place: Path, target: Path) -> None:
    """Point ``place`` at ``target``, atomically, by a relative link."""
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(place)
    beside.symlink_to(os.path.relpath(target, place.parent))
    beside.replace(place)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A folder for files that nobody needs afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"slipway-{prefix}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)

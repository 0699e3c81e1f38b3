"""The store's builds that no model, variant or release links to any more: how large they are, and their removal."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.artifacts.workspace import Workspace

MOST_FILES = 20_000
"""So many files of a store are looked at for its size."""


@dataclass(frozen=True, slots=True)
class Build:
    """One folder of the store; its key has an ending where a killed process has left it unfinished."""

    key: str
    bytes: int
    age_s: float
    linked: bool


def builds(workspace: Workspace) -> Iterator[Build]:
    """Return the folders of the store."""
    linked = _linked(workspace)
    for folder in sorted(workspace.store.iterdir()) if workspace.store.is_dir() else ():
        if folder.is_dir():
            with suppress(FileNotFoundError):  # removed meanwhile
                age_s = max(0.0, time.time() - folder.stat().st_mtime)
                yield Build(folder.name, sum(_sizes(folder)), age_s, folder.name in linked)


def size(workspace: Workspace) -> tuple[int, bool]:
    """Return the bytes of the whole store, and if all its files were counted: at most MOST_FILES are."""
    counted = list(itertools.islice(_sizes(workspace.store), MOST_FILES + 1))
    return sum(counted[:MOST_FILES]), len(counted) <= MOST_FILES


def remove(workspace: Workspace, build: Build) -> bool:
    """Remove a build, unless it was linked, or is being built, meanwhile; True if it is gone."""
    from pipelines.artifacts.store import locked

    key, _, ending = build.key.partition(".")
    folder = workspace.store / build.key
    with suppress(BlockingIOError), locked(workspace.store / f"{key}.lock"):
        if build.key in _linked(workspace):
            return False
        if not ending:
            folder = folder.rename(workspace.store / f"{key}.aside-clean")  # gone at once, as far as others see
        shutil.rmtree(folder)
        return True
    return False


def _linked(workspace: Workspace) -> set[str]:
    from pipelines.artifacts.release import ARTIFACT  # which imports what `list` has no time for

    patterns = ("*/trained", "*/*/*", f"*/*/releases/*/*{ARTIFACT}")
    places = itertools.chain.from_iterable(map(workspace.artifacts.glob, patterns))
    return {place.readlink().name for place in places if place.is_symlink()}


def _sizes(folder: Path) -> Iterator[int]:
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # removed meanwhile
                yield Path(place, name).lstat().st_size

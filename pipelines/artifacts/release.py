"""Releases the versions of an artifact, one after the other, into a folder that a server watches.

TF Serving serves the largest number below a model's base path, and changes to a new one without
dropping a request. An artifact itself is always version 1 and its folder never changes, so each
change becomes the next number here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pipelines.artifacts import store
from pipelines.base.errors import SlipwayError

KEPT = 3
"""The number of versions that are kept: the newest, and those to go back to."""


def release(payload: Path, base: Path) -> int:
    """Return the version below ``base`` with the content of ``payload``; make a new one unless the newest has it.

    ``payload`` belongs to an artifact, and has one numbered folder. A version appears whole or not at all.
    Raises SlipwayError for a payload without versions.
    """
    (source,) = versions(payload)[-1:] or (None,)
    if source is None:
        raise SlipwayError(f"only a payload with numbered version folders can be released. Received: {payload}")
    base.mkdir(parents=True, exist_ok=True)
    known = versions(base)
    if known and store.hash_tree(known[-1]) == store.hash_tree(source):
        return int(known[-1].name)
    number = int(known[-1].name) + 1 if known else 1
    aside = base / f".aside-{os.getpid()}"
    try:
        shutil.copytree(source, aside)
        aside.rename(base / str(number))
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    for old in versions(base)[:-KEPT]:
        shutil.rmtree(old)
    return number


def versions(folder: Path) -> list[Path]:
    """List the numbered folders below ``folder``, smallest number first."""
    return sorted((place for place in folder.iterdir() if place.name.isdecimal()), key=lambda place: int(place.name))

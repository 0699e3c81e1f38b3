"""Releases an artifact: a numbered copy that never changes, in a folder whose pin says which number is served.

An artifact's folder is a link, which the next build points elsewhere; a server that restarts would take the new one
by chance. So servers serve releases, and change to another when it is pinned (:mod:`serving.container.releases`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pipelines.artifacts import store
from pipelines.artifacts.workspace import Workspace
from pipelines.base.files import link
from serving.container.releases import PIN, is_held, pin, pinned

KEPT = 3
"""So many of the newest releases are kept, to go back to, and besides them what is pinned or served."""
ARTIFACT = ".artifact"
"""The ending of a release's link to the artifact that it is a copy of: its certificate and answers are there."""


def release(payload: Path, base: Path, model: str) -> int:
    """Return the number below ``base`` of a copy of ``payload``; make the next one unless the newest is a copy.

    ``payload`` belongs to an artifact. Of one with a numbered folder, as TensorFlow Serving has it, that is copied.
    A release appears whole or not at all; the first one is pinned.
    """
    (source,) = releases(payload)[-1:] or (payload,)
    base.mkdir(parents=True, exist_ok=True)
    known = releases(base)
    number = int(known[-1].name) if known else 0
    if not known or store.hash_tree(known[-1]) != store.hash_tree(source):
        number += 1
        aside = base / f".aside-{os.getpid()}"
        try:
            shutil.copytree(source, aside)
            aside.rename(base / str(number))
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    link(base / f"{number}{ARTIFACT}", payload.parent.resolve())
    if not (base / PIN).exists():
        pin(base, model, number)
    for old in releases(base)[:-KEPT]:
        if int(old.name) != pinned(base) and not is_held(old):
            shutil.rmtree(old)
            old.with_suffix(ARTIFACT).unlink(missing_ok=True)
    return number


def releases(folder: Path) -> list[Path]:
    """List the numbered folders below ``folder``, smallest number first."""
    return sorted((place for place in folder.iterdir() if place.name.isdecimal()), key=lambda place: int(place.name))


def served_artifact(workspace: Workspace, model: str, path: str, variant: str) -> Path:
    """Return the place of the artifact behind the pinned release; where nothing was released, of the one packaged."""
    base = workspace.releases(model, path, variant)
    if not (base / PIN).exists():
        return workspace.artifact(model, path, variant)
    return base / f"{pinned(base)}{ARTIFACT}"

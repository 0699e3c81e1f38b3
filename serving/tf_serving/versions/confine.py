"""Keep a version inside the base path configured for its model.

A SavedModel is a program, so a user who can write into the base path can run code in the server. This module
grants nothing more: it refuses links in a version's folder to files or models outside the base path.
"""

from __future__ import annotations

import os
from pathlib import Path

from serving.tf_serving.base.errors import ServingError


def check_inside(base: Path, folder: Path) -> None:
    """Check that ``folder`` and its contents lie under ``base`` after following links; ``base`` may be a link.

    Raises:
        ServingError: PERMISSION_DENIED, a link leads out of ``base``.
    """
    root = base.resolve()
    paths = [folder]
    for parent, folders, files in os.walk(folder):  # does not follow links; those to folders are in `folders`
        paths += [Path(parent, name) for name in (*folders, *files)]
    for path in paths:
        # Only a link can lead out, so the other files are not resolved.
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise ServingError(
                "PERMISSION_DENIED",
                f"{path} leads out of the model's base path. Received: {path.resolve()}; expected a path under {root}",
            )

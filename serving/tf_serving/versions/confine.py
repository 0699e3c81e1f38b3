"""Keeps a version inside the base path that was configured for its model.

A SavedModel is a program. Who may write into the base path may run code in the server; this keeps it at
that: a link in a version's folder to a model, or to a file of this machine, elsewhere is refused.
"""

from __future__ import annotations

import os
from pathlib import Path

from serving.tf_serving.base.errors import ServingError


def check_inside(base: Path, folder: Path) -> None:
    """Nothing if ``folder`` and all that is in it lie under ``base``, links followed; ``base`` itself may be a link.

    Raises:
        ServingError: PERMISSION_DENIED, something leads elsewhere.
    """
    root = base.resolve()
    paths = [folder]
    for parent, folders, files in os.walk(folder):  # does not follow links; those to folders are in `folders`
        paths += [Path(parent, name) for name in (*folders, *files)]
    for path in paths:
        # Only a link can lead elsewhere; resolving every file would cost more than it tells.
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise ServingError(
                "PERMISSION_DENIED",
                f"{path} leads out of the model's base path. Received: {path.resolve()}; expected a path under {root}",
            )

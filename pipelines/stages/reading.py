"""Reads a user's model file: what runs in the caged process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.files import RefusedFile
from models.files.kinds import read as read_file
from models.files.plain import plain
from pipelines.base.errors import UserError


def read(path: str, allow_code: bool = False) -> dict[str, Any]:
    """Return the facts of a file as plain data. Raises UserError for one that is refused."""
    try:
        return plain(read_file(Path(path), allow_code=allow_code))
    except RefusedFile as error:
        raise UserError(str(error)) from None

"""Finds the files that belong to a model, and hashes them. Links, devices and pipes among them are refused."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from models.files import RefusedFile

MOST_FILES = 10_000
_OTHERS = {
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link",
}


def mode_of(path: Path) -> int:
    """Return the type of what a path leads to. Raises RefusedFile if nothing is there, or it cannot be reached."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        if path.is_symlink():
            raise RefusedFile(f"{path} is a link to nowhere: {path.readlink()}. Name the file itself") from None
        raise RefusedFile(f"no such file: {path}") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise RefusedFile(f"cannot reach {path}: {getattr(error, 'strerror', None) or error}") from None


def checked_file(path: Path) -> int:
    """Return the size of a regular file that can be read. Raises RefusedFile for anything else."""
    mode = mode_of(path)
    if mode != stat.S_IFREG:
        raise RefusedFile(f"{path} is {_OTHERS.get(mode, 'a folder')}, and no file. Name a regular file")
    if not os.access(path, os.R_OK):
        raise RefusedFile(f"cannot read {path}: permission denied. Change its mode, or run as its owner")
    return path.stat().st_size


def tree(folder: Path) -> dict[str, Path]:
    """List the regular files below a folder by relative name, sorted. Raises RefusedFile for links and other kinds."""
    found: dict[str, Path] = {}
    for place, folders, names in os.walk(folder, onerror=_unreadable):
        for name in [*folders, *names]:
            path = Path(place, name)
            mode = stat.S_IFMT(path.lstat().st_mode)
            relative = path.relative_to(folder).as_posix()
            if mode not in (stat.S_IFREG, stat.S_IFDIR):
                raise RefusedFile(
                    f"{folder} holds {_OTHERS.get(mode, 'no file')}: {relative}. Copy the file itself there"
                )
            if mode == stat.S_IFREG:
                found[relative] = path
                checked_file(path)
        if len(found) > MOST_FILES:
            raise RefusedFile(f"{folder} holds more than {MOST_FILES:,} files: it is no folder of one model")
    return dict(sorted(found.items()))


def sha256_of(path: Path) -> str:
    """Hash one file, as ``sha256sum`` does."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_all(files: Mapping[str, Path]) -> str:
    """Hash several files with their names: that of a file alone is its own hash."""
    if len(files) == 1:
        return sha256_of(*files.values())
    lines = (f"{sha256_of(path)}  {name}\n" for name, path in files.items())
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _unreadable(error: OSError) -> None:
    raise RefusedFile(f"cannot read the folder {error.filename}: {error.strerror}")

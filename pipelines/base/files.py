"""Files that appear whole or not at all, bounded reading, links, and folders that nobody needs afterwards."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.base.errors import UserError

MIB = 2**20


def read_bounded(path: Path, most_bytes: int, what: str) -> bytes:
    """Read a whole file of at most ``most_bytes``; ``what`` names it in errors, for example ``the token``.

    Raises UserError for what is larger, cannot be read, or is no regular file: a device or a pipe may never end.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for somebody to write to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if stat.S_ISDIR(about.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(about.st_mode):
                raise OSError(errno.EINVAL, "it is a device, a pipe or a socket, and no file")
            if about.st_size > most_bytes:
                raise OSError(errno.EFBIG, f"{about.st_size:,} bytes, at most {most_bytes:,} are read")
            parts, left = [], most_bytes + 1  # what the system makes up, below /proc, has no size
            while left and (part := file.read(min(left, MIB))):
                parts.append(part)
                left -= len(part)
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UserError(f"cannot read {what}: {reason}. Received: {path}") from error
    if not left:
        raise UserError(f"cannot read {what}: it does not end after {most_bytes:,} bytes. Received: {path}")
    return b"".join(parts)


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


NEW_S = 60.0
"""A folder that is younger may have been made and not been locked yet."""


@contextmanager
def held_scratch(prefix: str) -> Iterator[Path]:
    """As :func:`scratch`, and what a killed process has left of the same prefix is removed first.

    Who works in a folder holds a lock on it, which the kernel releases however the process ends (flock(2)).
    """
    try:
        import fcntl
    except ImportError:  # not a Unix: nobody could tell what is left from what is used
        with scratch(prefix) as path:
            yield path
        return
    for left in Path(tempfile.gettempdir()).glob(f"slipway-{prefix}-*"):
        with suppress(OSError):  # another user's, held by who works in it, or removed meanwhile
            folder = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                about = os.fstat(folder)
                if about.st_uid == os.getuid() and time.time() - about.st_mtime > NEW_S:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left)
            finally:
                os.close(folder)
    with scratch(prefix) as path:
        folder = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield path
        finally:
            os.close(folder)

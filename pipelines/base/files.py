"""Files that appear whole or not at all, bounded reading, links, and folders that nobody needs afterwards."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
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
    """Write beside ``path`` and rename over it, so that no reader ever sees half of it. Raises OSError.

    A device or a pipe is written to, and not replaced.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
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


MARK = ".slipway-scratch"
"""A file in each scratch folder, locked by who works there: the kernel unlocks it however that process ends."""


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """Make a folder for the time of the block; those that killed processes have left are removed first."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix=f"slipway-{prefix}-", ignore_cleanup_errors=True) as folder:
        new = Path(folder, f"{MARK}.new")
        with new.open("wb") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX)
            new.rename(new.with_name(MARK))  # nobody finds it before it is locked
            yield Path(folder)


def _sweep() -> None:
    for left in Path(tempfile.gettempdir()).glob("slipway-*"):
        with suppress(OSError):  # no scratch folder, another user's, in use, or removed meanwhile
            folder = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                with os.fdopen(os.open(MARK, os.O_RDWR | os.O_NOFOLLOW, dir_fd=folder), "wb") as mark:
                    if os.fstat(mark.fileno()).st_uid == os.getuid():
                        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        shutil.rmtree(left)
            finally:
                os.close(folder)

"""A content-addressed store of folders: each appears whole and sealed or not at all, and is built once."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.artifacts.sources import Source, name_of, place_of
from pipelines.base.errors import SlipwayError, UserError
from pipelines.base.progress import say
from pipelines.paths import version_of

KEY_LENGTH = 24
LOCK_POLL_S = 0.05
LEAST_FREE_BYTES = 100_000_000
"""Space that a build may need: a small model with its training, or the payload of a path."""
FULL_BYTES = 1_000_000
"""With less, a failure to write is put down to the full disk, whatever a library calls it."""
SUMS = "SHA256SUMS"
"""Seals a folder: the hash of every file that was built, as ``sha256sum --check`` reads it."""
ALWAYS = ("numpy", "protobuf", "safetensors")
"""Distributions that whatever is built goes through."""


def key_of(parts: dict[str, Any], sources: Iterable[Source], distributions: Iterable[str]) -> str:
    """Name a build: a hash of ``parts``, the modules' sources, the libraries' versions and the processor."""
    everything = {
        **parts,
        "sources": {name_of(source): hash_tree(place_of(source)) for source in sources},
        "versions": versions([*ALWAYS, *distributions]),
        "machine": platform.machine(),
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of those of the distributions that are installed."""
    found = {name: version_of(name) for name in distributions}
    return {"python": platform.python_version(), **{name: version for name, version in found.items() if version}}


def hash_tree(source: Path) -> str:
    """Return a hash of a file's bytes, or of all files below a folder with their names. Raises FileNotFoundError."""
    if not source.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))
    if source.is_file():
        return file_sha256(source)
    digest = hashlib.sha256()
    for file in sorted(source.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(source)}\0{file_sha256(file)}\n".encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the hash of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(folder: Path) -> None:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    (folder / SUMS).write_text("".join(f"{file_sha256(file)}  {file.relative_to(folder)}\n" for file in files))


def damage(folder: Path) -> str | None:
    """Name the first file of a built folder that is not as it was built; None if all are.

    Files may be added beside what was built, but not in its subfolders.
    """
    try:
        lines = (folder / SUMS).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return f"{folder / SUMS} cannot be read"
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name, digest in sums.items():
        if not (folder / name).is_file():
            return f"{folder / name} is missing"
        if file_sha256(folder / name) != digest:
            return f"{folder / name} is not as it was built (sha256 differs)"
    for file in folder.glob("*/**/*"):
        if file.is_file() and str(file.relative_to(folder)) not in sums:
            return f"{file} was added"
    return None


def build(
    store: Path,
    key: str,
    fill: Callable[[Path], None],
    again: str,
    rebuild: bool = False,
    cancel: threading.Event | None = None,
) -> tuple[Path, bool]:
    """Return the folder of ``key``, and whether it was there already.

    ``fill`` writes into an empty folder aside, which gets its final name when it is complete. A damaged one is built
    again, after a line that names the file and says what happens ``again``: ``litert:fp32 is packaged``. Of
    two that want the same, the second waits and takes what the first made. Raises UserError when the disk has no
    room for it, and SlipwayError when ``cancel`` is set while it waits.
    """
    store.mkdir(parents=True, exist_ok=True)
    final = store / key
    with locked(store / f"{key}.lock", cancel or threading.Event()):
        for leftover in store.glob(f"{key}.aside-*"):
            shutil.rmtree(leftover)  # of a build that was killed: we hold the lock, so nobody writes to it
        if not rebuild and final.exists():
            damaged = damage(final)
            if damaged is None:
                return final, True
            say(f"{damaged}: {again} again")
        _check_space(store, LEAST_FREE_BYTES)
        aside = store / f"{key}.aside-new"
        try:
            aside.mkdir()
            fill(aside)
            _seal(aside)
            if final.exists():
                # A rename cannot replace a folder that is not empty.
                final.rename(store / f"{key}.aside-old")
            aside.rename(final)
        except (SlipwayError, OSError):
            _check_space(store, FULL_BYTES)
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            shutil.rmtree(store / f"{key}.aside-old", ignore_errors=True)
    return final, False


def _check_space(store: Path, needed: int) -> None:
    """Raise UserError if fewer than ``needed`` bytes are free on the disk of the store."""
    free = shutil.disk_usage(store).free
    if free < needed:
        raise UserError(
            f"the disk of {store} is full: {free / 1e6:.1f} MB are free, and a build needs "
            f"{LEAST_FREE_BYTES / 1e6:.0f} MB. "
            "Make room; slipway clean removes builds that nothing uses"
        )


@contextmanager
def locked(path: Path, cancel: threading.Event | None = None) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel lets go of it if the process dies.

    Waits until ``cancel`` is set; without it, raises BlockingIOError when somebody else holds the lock.
    """
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancel is None:
                    raise
                if cancel.wait(LOCK_POLL_S):
                    raise SlipwayError("cancelled while another slipway was building the same") from None
        yield

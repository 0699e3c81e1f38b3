"""List the versions of a model on disk, and choose those to serve."""

from __future__ import annotations

from pathlib import Path

from serving.tf_serving.settings.models import VersionPolicy

_MAX_INT64 = 2**63 - 1

Fingerprint = frozenset[tuple[str, int, int]]


def versions_on_disk(base_path: Path) -> dict[int, Path]:
    """List the folders of ``base_path`` whose names are whole numbers (leading zeros allowed), by number.

    Raises:
        OSError: the base path cannot be listed.
    """
    folders = sorted(entry for entry in base_path.iterdir() if entry.name.isascii() and entry.name.isdigit())
    return {int(folder.name): folder for folder in folders if folder.is_dir() and int(folder.name) <= _MAX_INT64}


def aspired(on_disk: dict[int, Path], policy: VersionPolicy) -> dict[int, Path]:
    """Choose the versions that the policy selects, the newest first."""
    chosen = sorted(on_disk, reverse=True)
    if policy.specific is not None:
        chosen = [version for version in chosen if version in policy.specific]
    elif policy.latest is not None:
        chosen = chosen[: policy.latest]
    return {version: on_disk[version] for version in chosen}


def fingerprint(folder: Path) -> Fingerprint:
    """Return the paths, sizes in bytes and modification times in ns of a version's files, to detect changes."""
    found = set()
    for file in folder.rglob("*"):
        try:
            stat = file.stat()
        except FileNotFoundError:
            continue  # removed after it was listed
        found.add((str(file.relative_to(folder)), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)

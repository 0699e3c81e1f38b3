"""The versions of a model on disk: which there are, and which are to be served."""

from __future__ import annotations

from pathlib import Path

from serving.tf_serving.settings.models import VersionPolicy

_MAX_INT64 = 2**63 - 1

Fingerprint = frozenset[tuple[str, int, int]]


def versions_on_disk(base_path: Path) -> dict[int, Path]:
    """The folders of ``base_path`` whose names are whole numbers (leading zeros allowed), by number.

    Raises:
        OSError: the base path cannot be listed.
    """
    folders = sorted(entry for entry in base_path.iterdir() if entry.name.isascii() and entry.name.isdigit())
    return {int(folder.name): folder for folder in folders if folder.is_dir() and int(folder.name) <= _MAX_INT64}


def aspired(on_disk: dict[int, Path], policy: VersionPolicy) -> dict[int, Path]:
    """Those of the versions that the policy wants served, the newest first."""
    chosen = sorted(on_disk, reverse=True)
    if policy.specific is not None:
        chosen = [version for version in chosen if version in policy.specific]
    elif policy.latest is not None:
        chosen = chosen[: policy.latest]
    return {version: on_disk[version] for version in chosen}


def fingerprint(folder: Path) -> Fingerprint:
    """What tells whether files of a version have changed: paths, sizes in bytes, times of change in ns."""
    found = set()
    for file in folder.rglob("*"):
        try:
            stat = file.stat()
        except FileNotFoundError:
            continue  # removed since it was listed
        found.add((str(file.relative_to(folder)), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)

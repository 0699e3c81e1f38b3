"""The memory that a container may use, by its control group.

A server that does not fit is killed by the kernel without a word in its log, again after each restart: so it
says beforehand what it needs. Standard library only.
"""

from __future__ import annotations

from pathlib import Path

# Version 2 of control groups, and version 1, as seen from inside a container.
_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
MB = 2**20


def memory_limit(files: tuple[Path, ...] = _FILES) -> int | None:
    """Bytes; None where there is no limit."""
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            return int(text)
    return None


def shortage(server: str, needed_bytes: int, limit: int | None) -> str | None:
    """One line that says that ``limit`` bytes are too little and what to do, None if they are enough."""
    if limit is None or limit >= needed_bytes:
        return None
    return (
        f"{server} needs {needed_bytes // MB} MB of memory with a small model. Received: a limit of {limit // MB} MB. "
        "Raise it; with docker compose: SLIPWAY_MEMORY=2g docker compose up"
    )

"""Limits that several servers share, and a container's memory limit, which is read from its control group.

The kernel kills a server that exceeds the limit without any log line, again after each restart. So the server
checks the limit when it starts. Standard library only.
"""

from __future__ import annotations

from pathlib import Path

# Control groups version 2 and version 1, as seen from inside a container.
_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
MB = 2**20

LINGER_S = 10.0
"""Time for which a server drops what a refused client goes on sending: some clients read only after that."""
LINGER_BYTES = 256 * MB
"""Bytes of it that are dropped; then the connection is closed."""


def memory_limit(files: tuple[Path, ...] = _FILES) -> int | None:
    """Return the limit in bytes; None if there is none."""
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            return int(text)
    return None


def shortage(server: str, needed_bytes: int, limit: int | None) -> str | None:
    """Return one line saying that ``limit`` bytes are too few and what to do; None if they are enough."""
    if limit is None or limit >= needed_bytes:
        return None
    return (
        f"{server} needs {needed_bytes // MB} MB of memory with a small model. Received: a limit of {limit // MB} MB. "
        "Raise it; with docker compose: SLIPWAY_MEMORY=2g docker compose up"
    )

"""Limits that several servers share, and a container's memory limit, which is read from its control group.

The kernel kills a server that exceeds the limit without any log line, again after each restart. So the server
checks the limit when it starts. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

# Control groups version 2 and version 1, as seen from inside a container.
_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
MB = 2**20
LARGE_BLOCK = 4 * MB
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h

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


def give_memory_back() -> None:
    """Have the C library give blocks of over LARGE_BLOCK bytes back to the system as soon as they are freed.

    glibc raises this bound to 32 MB by itself, after which each thread keeps up to 64 MB of what it has freed.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # not on macOS, and without effect in musl
        libc.mallopt(_MMAP_THRESHOLD, LARGE_BLOCK)
        libc.mallopt(_TRIM_THRESHOLD, 2 * LARGE_BLOCK)


def half_of_memory() -> int:
    """Return half of the bytes of memory that this process may use: the container's, else the machine's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, memory_limit() or machine) // 2


class Held:
    """The bytes of all requests that a server holds at a time, half-sent ones included: at most ``most``."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> bool:
        """Count ``size`` bytes, negative ones for bytes that are let go; count nothing if there is no room."""
        with self._lock:
            if size > 0 and self.bytes + size > self.most:
                return False
            self.bytes += size
            return True

    @property
    def refusal(self) -> str:
        """Say why a request is refused for which there is no room."""
        return f"the server may hold {self.most} bytes of requests at a time, and has no room for this one; try again"


class Share:
    """The bytes of one request in a :class:`Held`."""

    __slots__ = ("bytes", "held")

    def __init__(self, held: Held) -> None:
        self.held = held
        self.bytes = 0

    def add(self, size: int) -> bool:
        """Count more bytes of this request; count nothing, and return False, if there is no room."""
        if not self.held.add(size):
            return False
        self.bytes += size
        return True

    def give_back(self) -> None:
        """Let all bytes of the request go."""
        size, self.bytes = self.bytes, 0
        self.held.add(-size)

"""Shares memory among jobs that run side by side: each states its need, and waits until there is room for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from pipelines.base.errors import SlipwayError
from pipelines.stages.answers import REFERENCE

SHARE = 0.8
"""Limits jobs to this share of the memory that is available when the run starts; needs may be stated too low."""
STATED_FOR = 100e6
"""Says for how many bytes of weights needs are stated; a larger model needs more in proportion."""
POLL_S = 0.2


class Room:
    """The memory of a machine, in bytes; ``total`` is what may be used (None: SHARE of what is available now)."""

    def __init__(self, total: float | None = None) -> None:
        self.total = SHARE * psutil.virtual_memory().available if total is None else total
        self._used = 0.0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, need: float, cancel: threading.Event) -> Iterator[None]:
        """Wait until ``need`` bytes are free, or nobody else has any, and keep them for the block.

        Raises SlipwayError once ``cancel`` is set.
        """
        with self._changed:
            while self._used and self._used + need > self.total:
                if cancel.is_set():
                    raise SlipwayError("cancelled")
                self._changed.wait(POLL_S)
            self._used += need
        try:
            yield
        finally:
            with self._changed:
                self._used -= need
                self._changed.notify_all()


def need_of(memory_gb: float, folder: Path) -> float:
    """Return the bytes that a job needs for the model in ``folder``, which a variant states in GB."""
    weights = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.name != REFERENCE)
    return memory_gb * 1e9 * max(1.0, weights / STATED_FOR)

"""Reads the machine's state during a test: the frequency governor, and time stolen by the hypervisor."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from pipelines.loadtest.statistics.stolen import Tick

SAMPLE_S = 0.1
GOVERNORS = "devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"


def governor(sys: Path = Path("/sys")) -> str | None:
    """Return the governors of all processors, for example ``performance``; None if the system shows none."""
    found = {file.read_text("ascii", "replace").strip() for file in sys.glob(GOVERNORS)}
    return ", ".join(sorted(found)) or None


def cpu_ticks(stat: Path = Path("/proc/stat")) -> tuple[int, int] | None:
    """Return (all ticks, stolen ticks) of all processors since the start (proc(5)); None on another system."""
    try:
        words = stat.read_text("ascii").partition("\n")[0].split()[1:]
    except OSError:
        return None
    ticks = [int(word) for word in words[:8]]  # guest time is in user time already
    return (sum(ticks), ticks[7]) if len(ticks) == 8 else None


class TickSampler:
    """Reads the processors' ticks ten times a second while the block runs, from a thread of its own.

    ``ticks`` has a reading from the beginning, one from the end, and those between; empty on a system without them.
    """

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _look(self) -> None:
        if (found := cpu_ticks()) is not None:
            self.ticks.append((time.monotonic_ns(), *found))

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self._look()

    def __enter__(self) -> TickSampler:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

"""Reads the machine's state during a test: the frequency governor, and time stolen by the hypervisor."""

from __future__ import annotations

from pathlib import Path

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


def steal_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Return the stolen share of the processors' time between two readings, 0 to 1."""
    if before is None or after is None or after[0] <= before[0]:
        return None
    return (after[1] - before[1]) / (after[0] - before[0])

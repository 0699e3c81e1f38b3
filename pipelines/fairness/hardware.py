"""Describes the machine that the measurements were made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

from pipelines.results import Machine


def this_machine() -> Machine:
    """Describe the machine of this process; ``cores`` are those that the process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        cpu=_cpu_name(),
        cores=len(affinity(0)) if affinity else os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
    )


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

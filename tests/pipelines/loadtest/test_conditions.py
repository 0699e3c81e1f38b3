from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.loadtest.conditions import cpu_ticks, governor


def test_governors(tmp_path: Path) -> None:
    assert governor(tmp_path) is None
    for cpu, name in enumerate(["performance", "powersave", "performance"]):
        folder = tmp_path / f"devices/system/cpu/cpu{cpu}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{name}\n")
    assert governor(tmp_path) == "performance, powersave"


def test_stolen_time(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 20 30 40 0 0 0 100 7 7\ncpu0 1 1 1 1\n")
    assert cpu_ticks(stat) == (200, 100)
    assert cpu_ticks(tmp_path / "none") is None


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="needs Linux")
def test_the_generator_settles_where_it_may() -> None:
    program = (
        "import os\nfrom pipelines.loadtest.generator.priority import settle\nbefore = os.sched_getaffinity(0)\n"
        "cpus, priority = settle()\nassert set(cpus) == os.sched_getaffinity(0)\n"
        "if os.sched_getscheduler(0) == os.SCHED_FIFO:\n  assert (cpus, priority) == ((max(before),), 'fifo 1')\n"
        "else:\n  assert cpus == tuple(sorted(before))\n"
        "  assert priority == f'nice {os.getpriority(os.PRIO_PROCESS, 0)}'\nprint('well')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "well\n"

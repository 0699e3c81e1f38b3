from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipelines.base.files import NEW_S, held_scratch

HOLD = """
import sys
from pipelines.base.files import held_scratch
with held_scratch("test") as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def aged(folder: Path) -> Path:
    """Make a folder look as if it had been made a while ago."""
    then = folder.stat().st_mtime - NEW_S - 5
    os.utime(folder, (then, then))
    return folder


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (tmp_path / "slipway-test-link").symlink_to(aged(elsewhere))
    other = tmp_path / "slipway-other-x"
    other.mkdir()
    aged(other)
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        held = aged(Path(process.stdout.readline().strip()))
        with held_scratch("test") as own:
            assert own.is_dir()
            assert (held / "file").exists()  # somebody works in it
        assert not own.exists()
        process.send_signal(signal.SIGKILL)
    assert (held / "file").exists()
    young = tmp_path / "slipway-test-young"
    young.mkdir()
    with held_scratch("test"):
        assert not held.exists()
    assert young.exists()
    assert other.exists()
    assert (elsewhere / "kept").exists()

"""Folders of libraries beside slipway's own: made once, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipelines.base.environments import PLACE, kept_here, key_of, once, run_tool


def test_a_folder_is_filled_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def fill(folder: Path) -> None:
        calls.append(folder)
        (folder / "file").write_text("made")

    first, second = (once(tmp_path / "kept", "key", fill) for _ in range(2))
    assert first == second == tmp_path / "kept" / "key"
    assert (first / "file").read_text() == "made"
    assert len(calls) == 1


def test_a_folder_that_could_not_be_filled_is_not_there_and_is_tried_again(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        once(tmp_path, "key", fails)
    assert [one for one in tmp_path.iterdir() if one.is_dir()] == []
    assert list(once(tmp_path, "key", lambda _: None).iterdir()) == []


def test_a_key_names_what_it_was_made_from() -> None:
    assert key_of("npm", "a", "b") == key_of("npm", "a", "b") != key_of("npm", "a", "c")
    assert key_of("npm", "a").startswith("npm-")


def test_the_environment_variable_says_where_they_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(PLACE, str(tmp_path))
    assert kept_here() == tmp_path
    monkeypatch.delenv(PLACE)
    monkeypatch.chdir(tmp_path)
    assert kept_here() == tmp_path / "artifacts" / ".environments"


KILLED = """
import sys
from pipelines.base.environments import run_tool
tool = "import os, sys, time; open(sys.argv[1], 'w').write(f'{os.getpid()}'); time.sleep(600)"
run_tool([sys.executable, "-c", tool, sys.argv[1]])
"""


def test_a_tool_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    parent = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "pid")])
    tool = psutil.Process(int((tmp_path / "pid").read_text().split()[0]))
    parent.kill()
    parent.wait()
    left = psutil.wait_procs([tool], timeout=30)[1]
    assert [one for one in left if one.status() != psutil.STATUS_ZOMBIE] == []


def test_a_tool_that_fails_says_its_last_words(tmp_path: Path) -> None:
    said = run_tool([sys.executable, "-c", "print('one'); print('two'); raise SystemExit(3)"], tmp_path)
    assert said == "one / two"
    assert (
        run_tool([sys.executable, "-c", "import os; raise SystemExit(os.environ['X'] != '1')"], env={"X": "1"}) is None
    )

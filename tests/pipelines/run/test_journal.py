"""A run that was stopped or killed goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from models.trained import TrainedModel
from pipelines.base.errors import UserError
from pipelines.results import IN_PROCESS, Row
from pipelines.run.journal import JOURNAL, Intent, Journal, resume
from pipelines.run.options import Options

INTENT = Intent(("litert",), Options(seed=5, scenarios=("server",)), "2026-11-29T12:00:00+00:00", "slipway run m")
ROW = Row.at("litert", "fp32", IN_PROCESS, "ok", None)


def begun(folder: Path, rows: int = 1) -> Journal:
    folder.mkdir()
    journal = Journal.begin(folder, INTENT)
    for _ in range(rows):
        journal.add("f" * 64, ROW)
    return journal


def test_the_newest_run_that_did_not_end_is_resumed(tmp_path: Path) -> None:
    begun(tmp_path / "1", 2).close()
    begun(tmp_path / "2", 1).close()
    begun(tmp_path / "3").end()
    going_on = begun(tmp_path / "4")
    folder, found = resume(tmp_path)
    assert (folder, found.intent) == (tmp_path / "2", INTENT)
    assert [(one.artifact_sha256, one.row) for one in found.rows] == [("f" * 64, ROW)]
    found.journal.add("e" * 64, ROW)
    found.journal.close()
    assert len(resume(tmp_path)[1].rows) == 2
    going_on.close()


def test_another_name_of_a_folder_is_not_the_run(tmp_path: Path) -> None:
    begun(tmp_path / "1").close()
    (tmp_path / "latest").symlink_to("1")
    folder, found = resume(tmp_path)
    assert folder == tmp_path / "1"
    found.journal.end()
    with pytest.raises(UserError, match="no run to resume"):
        resume(tmp_path)


def test_a_full_disk_is_said_once_and_the_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("/dev/full").open("w") as full:
        journal = Journal(full, tmp_path / JOURNAL)
        journal.add("f" * 64, ROW)
        journal.add("f" * 64, ROW)
        journal.end()
    assert capsys.readouterr().err.count("No space left on device: from now on, nothing is kept for --resume") == 1


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    begun(tmp_path / "1", 2).close()
    path = tmp_path / "1" / JOURNAL
    path.write_bytes(path.read_bytes()[:-7])
    _, found = resume(tmp_path)
    found.journal.add("e" * 64, ROW)
    found.journal.close()
    assert [one.artifact_sha256[0] for one in resume(tmp_path)[1].rows] == ["f", "e"]


@pytest.mark.parametrize("content", ["", "{}\n", "no json\n", '{"words": 3}\n'])
def test_a_damaged_journal_is_one_line(tmp_path: Path, content: str) -> None:
    begun(tmp_path / "1").close()
    (tmp_path / "1" / JOURNAL).write_text(content)
    with pytest.raises(UserError, match="is damaged"):
        resume(tmp_path)


def measured(cli: Any, seconds: float = 120.0) -> list[dict[str, Any]]:
    """The rows that a run has written into its journal, once there is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for path in (cli.workspace / "reports" / "mnist_cnn").glob(f"*/{JOURNAL}"):
            lines = path.read_text().splitlines(keepends=True)[1:]
            if rows := [json.loads(line) for line in lines if line.endswith("\n")]:
                return rows
        time.sleep(0.05)
    raise AssertionError("no row was measured")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_measures_only_what_is_left(
    cli: Any, trained: TrainedModel, how: signal.Signals, nothing_left: Any
) -> None:
    for path in (cli.workspace / "reports" / "mnist_cnn").glob(f"*/{JOURNAL}"):
        path.unlink()  # of other tests, which stop runs too
    words = ("run", "mnist_cnn", "onnxruntime:pytorch", "--duration", "1", "--budget", "0", "--seed", "3")
    process = cli.start(*words)
    before = measured(cli)
    os.kill(process.pid, how)
    process.communicate(timeout=60)
    report = cli.json("run", "mnist_cnn", "--resume")
    assert {row["status"] for row in report["rows"]} == {"ok"}
    assert len(report["rows"]) == 4
    assert report["settings"]["command"].endswith("--seed 3")
    assert report["fairness"]["seed"] == 3
    assert len(report["fairness"]["order"][0]) == 4
    for one in before:
        (row,) = [row for row in report["rows"] if row["protocol"] == one["row"]["protocol"]]
        assert row["cold_start_s"] == one["row"]["cold_start_s"]
    done = cli("run", "mnist_cnn", "--resume")
    assert (done.returncode, "no run to resume" in done.stderr) == (2, True), done.stderr
    assert nothing_left() == []


def test_other_options_are_refused(cli: Any) -> None:
    done = cli("run", "mnist_cnn", "litert", "--resume")
    assert done.returncode == 2
    assert "--resume takes the paths and options of the run that did not end" in done.stderr

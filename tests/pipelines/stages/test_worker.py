"""Stages in processes of their own: what they return, how they fail, that they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from patience import wait_for

from pipelines.base.errors import MissingExtra, SlipwayError, UserError
from pipelines.stages.worker import StageFailed, run_stage

STAGES = """
import os, signal, subprocess, sys, time
from pipelines.base.errors import SlipwayError, UserError

def echo(value):
    print("to the log")
    return {"value": value}

def work(file):
    for line in ("progress: epoch 1", "a framework's line", "progress: epoch 2"):
        print(line, flush=True)
        while line.startswith("progress") and open(file).read() != line:
            time.sleep(0.01)

def fill_the_disk():
    with open("/dev/full", "w") as file:
        file.write("x")

def burn(megabytes, seconds):
    block = bytearray(megabytes * 1024 * 1024)
    for index in range(0, len(block), 4096):
        block[index] = 1
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def fail(kind):
    raise {"user": UserError, "slipway": SlipwayError, "value": ValueError}[kind]("it went wrong")

def missing():
    import a_library_that_is_not_there

def our_own_missing():
    import pipelines.a_module_that_is_not_there

def die():
    print("about to die", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

def leave_a_child(pid_file):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(pid_file, "w").write(str(child.pid))

def hang(pid_file):
    open(pid_file + ".new", "w").write(str(os.getpid()))
    os.rename(pid_file + ".new", pid_file)
    time.sleep(600)
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log file; the stages above replace the product's."""
    package = tmp_path / "stand_in"
    package.mkdir()
    (package / "sitecustomize.py").write_text(
        "import sys, types\n"
        "module = types.ModuleType('pipelines.stages.functions')\n"
        f"exec({STAGES!r}, module.__dict__)\n"
        "sys.modules['pipelines.stages.functions'] = module\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package), prepend=os.pathsep)
    return tmp_path / "logs" / "stage.log"


def test_a_stage_returns_its_value_and_its_output_goes_to_the_log(log: Path) -> None:
    outcome = run_stage("echo", {"value": [1, "two", None]}, log)
    assert outcome.value == {"value": [1, "two", None]}
    assert log.read_text() == "to the log\n"


def test_progress_is_told_while_the_stage_runs(log: Path, tmp_path: Path) -> None:
    """The stage goes on only when its line has arrived; of an older run's lines, none is told."""
    seen = tmp_path / "seen"
    seen.touch()
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        seen.write_text(f"progress: {line}")

    log.parent.mkdir()
    log.write_text("progress: of an older run\n")
    run_stage("work", {"file": str(seen)}, log, tell=tell, timeout_s=30)
    assert told == ["epoch 1", "epoch 2"]


def test_a_full_disk_is_one_line_for_the_user(log: Path) -> None:
    with pytest.raises(UserError) as caught:
        run_stage("fill_the_disk", {}, log)
    assert str(caught.value) == "No space left on device: where a stage writes. Make room, and run it again"


def test_usage_is_that_of_the_stage_alone(log: Path) -> None:
    small = run_stage("burn", {"megabytes": 1, "seconds": 0.0}, log).usage
    large = run_stage("burn", {"megabytes": 200, "seconds": 0.5}, log).usage
    assert large.peak_rss_bytes - small.peak_rss_bytes == pytest.approx(199 * 1024**2, rel=0.1)
    assert large.cpu_s - small.cpu_s == pytest.approx(0.5, abs=0.25)
    assert large.wall_s >= large.cpu_s * 0.5


@pytest.mark.parametrize(("kind", "error"), [("user", UserError), ("slipway", SlipwayError), ("value", StageFailed)])
def test_errors_keep_their_kind_and_message(log: Path, kind: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="it went wrong"):
        run_stage("fail", {"kind": kind}, log)


def test_a_missing_library_is_a_missing_extra(log: Path) -> None:
    with pytest.raises(MissingExtra, match="a_library_that_is_not_there"):
        run_stage("missing", {}, log)


def test_a_missing_module_of_ours_is_a_bug(log: Path) -> None:
    with pytest.raises(StageFailed, match="a_module_that_is_not_there"):
        run_stage("our_own_missing", {}, log)


def test_a_crash_says_which_signal_and_what_the_log_ends_with(log: Path) -> None:
    with pytest.raises(StageFailed, match=r"signal 9 \(SIGKILL\)\nabout to die"):
        run_stage("die", {}, log)


def test_a_stage_leaves_no_child(log: Path, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    run_stage("leave_a_child", {"pid_file": str(pid_file)}, log)
    wait_for(lambda: not psutil.pid_exists(int(pid_file.read_text())))


def test_a_stage_that_takes_too_long_is_ended(log: Path, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(StageFailed, match="had not finished after 3 s"):
        run_stage("hang", {"pid_file": str(pid_file)}, log, timeout_s=3.0)
    assert not psutil.pid_exists(int(pid_file.read_text()))


def test_cancel_ends_a_stage(log: Path, tmp_path: Path) -> None:
    pid_file, cancel = tmp_path / "pid", threading.Event()
    failure: list[BaseException] = []

    def run() -> None:
        try:
            run_stage("hang", {"pid_file": str(pid_file)}, log, cancel)
        except StageFailed as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(pid_file.exists)
    cancel.set()
    thread.join(10)
    assert [str(error) for error in failure] == ["cancelled"]
    assert not psutil.pid_exists(int(pid_file.read_text()))


PARENT = """
import sys
from pathlib import Path
from pipelines.stages.worker import run_stage
run_stage("hang", {"pid_file": sys.argv[1]}, Path(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_a_stage_dies_with_a_killed_parent(log: Path, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(pid_file), str(log)])
    wait_for(pid_file.exists)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not psutil.pid_exists(int(pid_file.read_text())))

"""A caged process: what it cannot do, and what is said about it."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from patience import wait_for

from pipelines.base.errors import UserError
from pipelines.stages.cage import GIB, KEPT, Cage
from pipelines.stages.worker import StageFailed, run_stage

STAGES = '''
import os, resource, socket, subprocess, sys, threading, time

def attempt(what, argument=None):
    """Say what came of something that a cage forbids."""
    try:
        return str(ATTEMPTS[what](argument))
    except BaseException as error:
        return type(error).__name__

def written(path):
    with open(path, "w") as file:
        return file.write("x")

def memory(_):
    return len(bytearray(8 * 2**30))

def thread(_):
    found = []
    one = threading.Thread(target=lambda: found.append("ran"))
    one.start(); one.join()
    return found[0]

def large_file(_):
    with open("large", "wb") as file:
        file.truncate(2**30)

def many_files(_):
    return len([open("/dev/null") for _ in range(1000)])

def spin(_):
    while True:
        pass

ATTEMPTS = {
    "connect": lambda port: socket.create_connection(("127.0.0.1", int(port)), 5),
    "unix": lambda path: socket.socket(socket.AF_UNIX).connect(path),
    "program": lambda _: subprocess.run(["true"]),
    "fork": lambda _: os.fork(),
    "signal": lambda pid: os.kill(int(pid), 0),
    "write": written,
    "remove": lambda path: os.remove(path),
    "memory": memory,
    "thread": thread,
    "large_file": large_file,
    "many_files": many_files,
    "cpu": spin,
    "core": lambda _: resource.getrlimit(resource.RLIMIT_CORE),
    "environment": lambda _: sorted(os.environ),
    "folder": lambda _: os.listdir("."),
    "status": lambda _: open("/proc/self/environ").read(),
    "sleep": lambda seconds: time.sleep(float(seconds)),
}
'''

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems bound time and memory, and say so")


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Attempts something in a caged process."""
    (tmp_path / "caged_stages.py").write_text(STAGES)

    def run(what: str, argument: str | None = None, cage: Cage | None = None, **options: Any) -> Any:
        cage = cage or Cage(memory_bytes=4 * GIB, cpu_s=60, file_bytes=2**20, files=64)
        request = {"what": what, "argument": argument}
        log = tmp_path / "log"
        return run_stage("caged_stages:attempt", request, log, overlay=tmp_path, cage=cage, **options)

    return run


@LINUX
def test_the_network_is_out_of_reach(ask: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = ask("connect", str(server.getsockname()[1]))
    assert done.value in ("PermissionError", "OSError")
    assert "no network" in done.held


@LINUX
def test_the_services_of_this_machine_are_out_of_reach(ask: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert ask("unix", path).value == "PermissionError"


@LINUX
@pytest.mark.parametrize(
    ("what", "argument"),
    [("program", None), ("fork", None), ("signal", str(os.getpid()))],
    ids=("program", "fork", "signal"),
)
def test_no_other_process_is_started_or_reached(ask: Any, what: str, argument: str | None) -> None:
    done = ask(what, argument)
    assert done.value == "PermissionError"
    assert "no other process" in done.held
    assert ask("thread").value == "ran"


@LINUX
def test_a_stage_that_has_to_may_start_programs(ask: Any) -> None:
    assert "returncode=0" in ask("program", cage=Cage(4 * GIB, 60, alone=False)).value


@LINUX
def test_nothing_is_written_outside_of_its_folder(ask: Any, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    done = ask("write", str(kept))
    if "no writing outside of its folder" not in done.held:
        pytest.skip("this kernel has no Landlock")
    assert done.value == "PermissionError"
    assert ask("write", str(tmp_path / "new")).value == "PermissionError"
    assert ask("remove", str(kept)).value == "PermissionError"
    assert kept.read_text() == "as it was"
    assert ask("write", "here").value == "1"


def test_memory_and_files_are_bounded(ask: Any) -> None:
    assert ask("memory").value == "MemoryError"
    assert ask("large_file").value == "OSError"
    assert ask("many_files").value == "OSError"
    assert ask("core").value == "(0, 0)"


def test_time_is_bounded(ask: Any) -> None:
    with pytest.raises(StageFailed, match="signal"):
        ask("cpu", cage=Cage(4 * GIB, cpu_s=1))
    with pytest.raises(StageFailed, match="had not finished after 2 s"):
        ask("sleep", "60", timeout_s=2)


def test_its_variables_and_its_folder_are_its_own(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_USER", "hush")
    names = ask("environment").value
    assert "A_SECRET_OF_THE_USER" not in names
    assert "PYTHONPATH" in names
    assert all(name in names for name in KEPT if name in os.environ)
    assert "hush" not in ask("status").value
    assert ask("folder").value == "[]"


def test_it_leaves_nothing_behind(ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    ask("write", "here")
    assert list(place.iterdir()) == []
    wait_for(lambda: {process.pid for process in psutil.Process().children(recursive=True)} <= before)


PARENT = """
import sys
from pathlib import Path
from pipelines.stages.cage import Cage
from pipelines.stages.worker import run_stage
place = Path(sys.argv[1])
request = {"what": "sleep", "argument": "600"}
run_stage("caged_stages:attempt", request, place / "log", overlay=place, cage=Cage(4 * 2**30, 60))
"""


@LINUX
def test_it_dies_with_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "caged_stages.py").write_text(STAGES)
    parent = psutil.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    wait_for(lambda: any("caged_stages:attempt" in one.cmdline() for one in parent.children()))
    (child,) = parent.children()
    parent.kill()
    parent.wait()
    wait_for(lambda: not child.is_running())


def test_what_is_held_is_said(ask: Any) -> None:
    held = ask("core").held
    assert {"4.0 GiB of memory", "60 s of CPU time", "64 open files", "no core dump"} <= set(held)


def test_a_stage_without_a_cage_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "caged_stages.py").write_text(STAGES)
    request = {"what": "core", "argument": None}
    assert run_stage("caged_stages:attempt", request, tmp_path / "log", overlay=tmp_path).held == ()


def test_a_file_that_kills_its_reader_costs_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.stages.user_file import read_user_file

    (tmp_path / "sitecustomize.py").write_text(
        "import os, models.files.kinds as one\none.read = lambda *_, **__: os.abort()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(UserError) as caught:
        read_user_file(tmp_path / "model.onnx")
    assert "signal 6 (SIGABRT)" in str(caught.value)
    assert "\n" not in str(caught.value)

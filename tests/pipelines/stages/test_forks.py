"""Stages in forks of a process that has imported: fresh every time, and none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from patience import wait_for

from pipelines.base.errors import MissingExtra, SlipwayError
from pipelines.stages.cage import Cage
from pipelines.stages.forks import Forks
from pipelines.stages.worker import StageFailed, run_stage

MODULES = {
    "slow_to_import": """
import os, warnings
with open(os.environ["IMPORTS"], "a") as file:
    file.write("x")
warnings.warn("it is old", DeprecationWarning)
STATE = []
""",
    "with_a_thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n",
    "talkative": "print('it talks')\n",
    "endless": "import os, time\nopen(os.environ['IMPORTS'], 'w').write(str(os.getpid()))\ntime.sleep(600)\n",
    "stand_in_stages": """
import os, signal, sys, tempfile, time
from pipelines.base.errors import SlipwayError

def told():
    import slow_to_import
    from pipelines.stages import child
    print("to the log")
    slow_to_import.STATE.append(1)
    said = [str(one.message) for one in child.IMPORTED_WITH]
    return [os.getpid(), os.getppid(), slow_to_import.STATE, said, tempfile.gettempdir()]

def fail():
    raise SlipwayError("it went wrong")

def missing():
    import not_there

def die():
    print("about to die", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

def hang(pid_file):
    with open(pid_file + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(pid_file + ".new", pid_file)
    time.sleep(600)
""",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the modules above; the file ``imports`` in it counts those of ``slow_to_import``."""
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("IMPORTS", str(tmp_path / "imports"))
    return tmp_path


@pytest.fixture
def forks() -> Iterator[Forks]:
    with Forks() as made:
        yield made


def run(forks: Forks, place: Path, name: str, *modules: str, **options: Any) -> Any:
    cancel, request = options.pop("cancel", None), options.pop("request", {})
    fork = (forks, modules or ("slow_to_import",))
    return run_stage(f"stand_in_stages:{name}", request, place / "log", cancel, fork=fork, **options)


def test_each_stage_is_a_process_that_finds_everything_as_it_was_imported(forks: Forks, place: Path) -> None:
    (first, parent, *state), (second, same, *again) = (run(forks, place, "told").value for _ in range(2))
    assert first != second
    assert parent == same != os.getpid()
    assert state[:2] == again[:2] == [[1], ["it is old"]]
    assert state[2] != again[2]  # places for temporary files
    assert (place / "imports").read_text() == "x"
    assert (place / "log").read_text() == "to the log\n" * 2


def test_other_variables_are_another_process(forks: Forks, place: Path) -> None:
    assert run(forks, place, "told", threads=1).value[1] != run(forks, place, "told", threads=2).value[1]


def test_a_failure_and_a_crash_cost_one_stage(forks: Forks, place: Path) -> None:
    with pytest.raises(SlipwayError, match=r"^it went wrong$"):
        run(forks, place, "fail")
    with pytest.raises(StageFailed, match=r"signal 9 \(SIGKILL\)\n[\s\S]*about to die$"):
        run(forks, place, "die")
    run(forks, place, "told")
    assert (place / "imports").read_text() == "x"


def test_a_stage_that_takes_too_long_is_ended_and_the_next_one_runs(forks: Forks, place: Path) -> None:
    pid_file = place / "pid"
    with pytest.raises(StageFailed, match="had not finished after 3 s"):
        run(forks, place, "hang", request={"pid_file": str(pid_file)}, timeout_s=3.0)
    wait_for(lambda: not psutil.pid_exists(int(pid_file.read_text())))
    run(forks, place, "told")
    assert (place / "imports").read_text() == "xx"


@pytest.mark.parametrize("module", ["slow_to_import", "endless"])
def test_cancel_ends_a_stage_also_while_its_server_imports(forks: Forks, place: Path, module: str) -> None:
    """The file holds the number of the process that sleeps: the fork's, or its server's."""
    pid_file, cancel = place / ("imports" if module == "endless" else "pid"), threading.Event()
    failure: list[str] = []

    def wait() -> None:
        try:
            run(forks, place, "hang", module, request={"pid_file": str(pid_file)}, cancel=cancel)
        except StageFailed as error:
            failure.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    cancel.set()
    thread.join(10)
    assert failure == ["cancelled"]
    wait_for(lambda: not psutil.pid_exists(int(pid_file.read_text())))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how many threads a process has")
def test_what_has_begun_threads_is_not_forked(forks: Forks, place: Path) -> None:
    with pytest.raises(StageFailed, match="the import of with_a_thread has begun threads"):
        run(forks, place, "told", "with_a_thread")


def test_a_module_that_is_missing_is_the_stages_to_tell(forks: Forks, place: Path) -> None:
    assert run(forks, place, "told", "not_there", "slow_to_import").value[2] == [1]
    with pytest.raises(MissingExtra, match="not_there"):
        run(forks, place, "missing", "not_there")


def test_what_a_module_prints_is_no_answer(forks: Forks, place: Path) -> None:
    run(forks, place, "told", "talkative", "slow_to_import")
    assert "it talks\n" in (place / "log").read_text()


def test_after_its_end_there_is_another_process(forks: Forks, place: Path) -> None:
    before = run(forks, place, "told").value[1]
    forks.end()
    assert not psutil.pid_exists(before)
    assert run(forks, place, "told").value[1] != before


def test_a_fork_has_no_cage(forks: Forks, place: Path) -> None:
    with pytest.raises(ValueError, match="a fork has no cage"):
        run(forks, place, "told", cage=Cage(2**30, 10))


def test_no_process_is_left(place: Path) -> None:
    with Forks() as forks:
        first, server, *_ = run(forks, place, "told").value
        assert psutil.pid_exists(server)
    assert not psutil.pid_exists(server)
    assert not psutil.pid_exists(first)


PARENT = """
import sys
from pathlib import Path
from pipelines.stages.forks import Forks
from pipelines.stages.worker import run_stage
with Forks() as forks:
    run_stage("stand_in_stages:hang", {"pid_file": sys.argv[1]}, Path(sys.argv[2]), fork=(forks, ["slow_to_import"]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_a_fork_and_its_server_die_with_a_killed_parent(place: Path) -> None:
    pid_file = place / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(pid_file), str(place / "log")])
    wait_for(pid_file.exists)
    fork = psutil.Process(int(pid_file.read_text()))
    server = fork.ppid()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not fork.is_running() and not psutil.pid_exists(server))

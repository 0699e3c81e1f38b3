"""The bench: fresh processes in random order, kept round by round; environments laid over the installed packages."""

from __future__ import annotations

import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from patience import wait_for

from pipelines.artifacts.workspace import Workspace
from pipelines.base import environments
from pipelines.base.environments import Environment, make
from pipelines.base.errors import MissingExtra
from pipelines.claims.experiments.bench import ChildCall, Effort, Workbench, pairs
from pipelines.stages.forks import Forks
from pipelines.stages.worker import StageFailed

JOBS = "tests.pipelines.claims.jobs"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))  # the jobs of these tests
    return Workbench(
        effort=Effort.TINY,
        seed=7,
        folder=tmp_path,
        kept=tmp_path / "environments",
        partial=tmp_path / "partial",
        log=tmp_path / "log.txt",
        workspace=Workspace(tmp_path),
        shared=lambda _: None,
        reports=dict,
    )


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt: who runs the tests may have switched it off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_every_job_runs_once_a_round_in_a_process_of_its_own(bench: Workbench) -> None:
    jobs = {name: ChildCall(f"{JOBS}:count", {"folder": str(bench.folder), "name": name}) for name in "abc"}
    found = bench.interleaved("order", jobs, rounds=3)
    ran = (bench.folder / "ran.txt").read_text().split()
    assert [sorted(ran[first : first + 3]) for first in (0, 3, 6)] == [["a", "b", "c"]] * 3
    assert len({tuple(ran[first : first + 3]) for first in (0, 3, 6)}) > 1  # seed 7 draws different orders
    assert len({process for values in found.values() for process in values}) == 9


def test_what_was_measured_before_a_crash_is_not_measured_again(bench: Workbench) -> None:
    folder = str(bench.folder)
    jobs = {
        "a": ChildCall(f"{JOBS}:count", {"folder": folder, "name": "a"}),
        "b": ChildCall(f"{JOBS}:fail_once", {"folder": folder}),
    }
    with pytest.raises(StageFailed, match="SIGABRT"):
        bench.interleaved("crash", jobs, rounds=2)
    journal = bench.partial / "crash.jsonl"
    journal.write_text(journal.read_text() + '["1/')  # killed while it was written
    found = bench.interleaved("crash", jobs, rounds=2)
    assert found["b"] == ["well", "well"]
    assert (bench.folder / "ran.txt").read_text().split() == ["a", "a"]


@pytest.mark.parametrize(("effort", "servers"), [(Effort.QUICK, 1), (Effort.FULL, 2)])
def test_the_rounds_of_a_full_run_are_forked_from_other_processes(
    bench: Workbench, effort: Effort, servers: int
) -> None:
    jobs = {name: ChildCall(f"{JOBS}:parent", imported=("json",)) for name in "ab"}
    with Forks() as forks:
        found = replace(bench, effort=effort, forks=forks).interleaved("forks", jobs, rounds=2)
    assert len({process for values in found.values() for process in values}) == servers


def test_two_jobs_that_measure_no_time_go_on_at_once(bench: Workbench) -> None:
    calls = {
        name: ChildCall(f"{JOBS}:together", {"folder": str(bench.folder), "name": name, "other": other})
        for name, other in ("ab", "ba")
    }
    assert bench.at_once(calls) == {"a": True, "b": True}


def test_an_interrupt_ends_what_goes_on_at_once(bench: Workbench, interruptible: None) -> None:
    calls = {
        name: ChildCall(f"{JOBS}:together", {"folder": str(bench.folder), "name": name, "other": "none"})
        for name in "ab"
    }

    struck = []

    def strike() -> None:
        wait_for(lambda: all((bench.folder / name).exists() for name in calls))
        struck.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    striking = threading.Thread(target=strike)
    striking.start()
    with pytest.raises(KeyboardInterrupt):
        bench.at_once(calls)
    striking.join()
    assert time.monotonic() - struck[0] < 20  # each would have gone on for 30 s
    assert bench.cancel.is_set()


def test_two_jobs_at_once_have_no_process_to_be_forked_from(bench: Workbench) -> None:
    with pytest.raises(ValueError, match="cannot fork"):
        bench.at_once({"a": ChildCall(f"{JOBS}:parent", imported=("json",))})


def test_figures_are_paired_by_round() -> None:
    found = {"x": [{"s": 1.0}, {"s": 2.0}], "y": [{"s": 4.0}, {"s": 5.0}]}
    assert pairs(found, "x", "y", lambda value: float(value["s"])) == [(1.0, 4.0), (2.0, 5.0)]


def wheel(folder: Path) -> str:
    """A wheel with one module, as pip takes it without an index."""
    path = folder / "slipway_overlay_probe-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("slipway_overlay_probe.py", "WORD = 'laid over'\n")
        about = "slipway_overlay_probe-1.0.dist-info"
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: slipway-overlay-probe\nVersion: 1.0\n")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")
    return str(path)


def test_an_environment_is_made_once_and_comes_before_what_is_installed(bench: Workbench) -> None:
    environment = Environment("probe", (wheel(bench.folder),))
    job = ChildCall(f"{JOBS}:laid_over", environment=environment)
    assert bench.run(job).value == "laid over"
    made = make(environment, bench.kept)
    stamp = made.stat().st_mtime_ns
    assert bench.run(job).value == "laid over"
    assert make(environment, bench.kept).stat().st_mtime_ns == stamp
    with pytest.raises(MissingExtra, match="slipway_overlay_probe"):
        bench.run(ChildCall(f"{JOBS}:laid_over"))


def test_an_environment_that_pip_cannot_make_leaves_nothing_behind(bench: Workbench) -> None:
    with pytest.raises(MissingExtra, match=r"`pip install --no-deps .*nowhere\.whl`"):
        make(Environment("none", (str(bench.folder / "nowhere.whl"),)), bench.kept)
    assert [one.name for one in bench.kept.iterdir() if one.is_dir()] == []


def test_pip_is_stopped_when_it_takes_too_long(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "TIMEOUT_S", 0.01)
    with pytest.raises(MissingExtra, match="had not finished"):
        make(Environment("slow", (wheel(bench.folder),)), bench.kept)

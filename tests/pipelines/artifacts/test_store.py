"""The store: nothing half-written, nothing built twice, nothing corrupted by two at once."""

from __future__ import annotations

import importlib.machinery
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from pipelines.artifacts import store
from pipelines.base.errors import SlipwayError, UserError


def whole(folder: Path) -> bool:
    return (folder / "done").exists()


def fill(folder: Path) -> None:
    (folder / "payload").write_text("x" * 1000)
    (folder / "done").touch()


def test_the_second_build_is_the_first(tmp_path: Path) -> None:
    first, cached = store.build(tmp_path, "key", fill, "it is built")
    assert not cached
    inode = first.stat().st_ino
    second, cached = store.build(tmp_path, "key", fill, "it is built")
    assert cached
    assert (second, second.stat().st_ino) == (first, inode)


def test_rebuild_replaces_it(tmp_path: Path) -> None:
    first, _ = store.build(tmp_path, "key", fill, "it is built")
    inode = first.stat().st_ino
    again, cached = store.build(tmp_path, "key", fill, "it is built", rebuild=True)
    assert not cached
    assert again.stat().st_ino != inode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "key.lock"]


def test_a_folder_that_is_not_whole_is_built_again(tmp_path: Path) -> None:
    folder, _ = store.build(tmp_path, "key", fill, "it is built")
    (folder / "done").unlink()
    _, cached = store.build(tmp_path, "key", fill, "it is built")
    assert not cached
    assert whole(folder)


def test_a_full_disk_is_one_line_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LEAST_FREE_BYTES", shutil.disk_usage(tmp_path).total + 1)
    with pytest.raises(UserError, match=r"the disk of \S+ is full: [\d.]+ MB are free, and a build needs"):
        store.build(tmp_path, "key", pytest.fail, "it is built")
    assert [path.name for path in tmp_path.iterdir()] == ["key.lock"]


@pytest.mark.parametrize("error", [SlipwayError("I/O error"), OSError("cannot write")])
def test_a_failure_on_a_full_disk_is_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(_folder: Path) -> None:
        monkeypatch.setattr(store, "FULL_BYTES", shutil.disk_usage(tmp_path).total + 1)
        raise error

    with pytest.raises(UserError, match="is full"):
        store.build(tmp_path, "key", fail, "it is built")


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        store.build(tmp_path, "key", fail, "it is built")
    assert [path.name for path in tmp_path.iterdir()] == ["key.lock"]


def test_a_failed_rebuild_keeps_the_old_one(tmp_path: Path) -> None:
    folder, _ = store.build(tmp_path, "key", fill, "it is built")

    def fail(_: Path) -> None:
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        store.build(tmp_path, "key", fail, "it is built", rebuild=True)
    assert whole(folder)


KILLED = """
import sys, time
from pathlib import Path
from pipelines.artifacts import store
def fill(folder):
    (folder / "half").touch()
    print("writing", flush=True)
    time.sleep(60)
store.build(Path(sys.argv[1]), "key", fill, "it is built")
"""


def test_a_killed_build_is_never_taken_for_a_whole_one_and_is_swept_up(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "key").exists()
    folder, cached = store.build(tmp_path, "key", fill, "it is built")
    assert not cached
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "key.lock"]
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "done", "payload"]


def test_what_a_killed_rebuild_left_is_swept_up_though_the_old_one_is_whole(tmp_path: Path) -> None:
    store.build(tmp_path, "key", fill, "it is built")
    (tmp_path / "key.aside-new").mkdir()
    _, cached = store.build(tmp_path, "key", fill, "it is built")
    assert cached
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "key.lock"]


def _build_slowly(root: Path, marks: Path) -> None:
    def slow(folder: Path) -> None:
        (marks / str(os.getpid())).touch()
        time.sleep(0.3)
        fill(folder)

    store.build(root, "key", slow, "it is built")


def test_of_two_at_once_one_builds(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_build_slowly, args=(tmp_path / "store", marks)) for _ in range(4)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    assert [process.exitcode for process in both] == [0, 0, 0, 0]
    assert len(list(marks.iterdir())) == 1
    assert whole(tmp_path / "store" / "key")


def test_the_key_follows_sources_versions_and_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source, module = tmp_path / "a_path_of_a_test.py", "a_path_of_a_test"
    source.write_text("a = 1")
    first = store.key_of({"variant": "fp32"}, [module], ["numpy"])
    assert first == store.key_of({"variant": "fp32"}, [module], ["numpy"])
    assert first != store.key_of({"variant": "fp16"}, [module], ["numpy"])
    source.write_text("a = 2")
    changed = store.key_of({"variant": "fp32"}, [module], ["numpy"])
    assert first != changed
    monkeypatch.setattr(store, "version_of", lambda _: "9.9")
    assert changed != store.key_of({"variant": "fp32"}, [module], ["numpy"])


def test_what_is_not_there_has_no_hash_and_no_key(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        store.hash_tree(tmp_path / "nowhere")
    with pytest.raises(ModuleNotFoundError, match=r"no source file of the module pipelines\.nowhere"):
        store.key_of({}, ["pipelines.nowhere"], [])
    namespace = types.ModuleType("made_up")
    namespace.__spec__ = importlib.machinery.ModuleSpec("made_up", None)
    with pytest.raises(ModuleNotFoundError, match="made_up"):
        store.key_of({}, [namespace], [])


def test_a_package_is_covered_with_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "a_package_of_a_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "part.py").write_text("a = 1")
    first = store.key_of({}, ["a_package_of_a_test"], [])
    (package / "part.py").write_text("a = 2")
    assert first != store.key_of({}, ["a_package_of_a_test"], [])


DAMAGE = {
    "a changed byte": (lambda folder: (folder / "deep" / "b").write_text("y"), "deep/b is not as it was built"),
    "a missing file": (lambda folder: (folder / "a").unlink(), "a is missing"),
    "a file more": (lambda folder: (folder / "deep" / "c").touch(), "deep/c was added"),
    "no sums": (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS cannot be read"),
    "no text": (lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff"), "SHA256SUMS cannot be read"),
    "sums of nothing": (lambda folder: (folder / "SHA256SUMS").write_text("x  gone\n"), "gone is missing"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_build_is_named_before_it_is_built_again(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    def two(folder: Path) -> None:
        said.append(capsys.readouterr().err)
        (folder / "deep").mkdir()
        for place in ("a", "deep/b"):
            (folder / place).write_text("x")

    folder, _ = store.build(tmp_path, "key", two, "it is built")
    (folder / "added-beside").touch()
    assert store.damage(folder) is None
    harm, message = DAMAGE[name]
    harm(folder)
    _, cached = store.build(tmp_path, "key", two, "it is built")
    assert not cached
    assert said[0] == ""
    assert said[1].startswith(f"slipway: {folder}/")
    assert message in said[1]
    assert said[1].endswith(": it is built again\n")


def test_sha256sum_reads_the_sums(tmp_path: Path) -> None:
    folder, _ = store.build(tmp_path, "key", fill, "it is built")
    done = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["done: OK", "payload: OK"]

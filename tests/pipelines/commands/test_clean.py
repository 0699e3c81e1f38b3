"""The store's size, and the removal of what nothing links to."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.artifacts import unlinked
from pipelines.artifacts.unlinked import builds, remove, size
from pipelines.artifacts.workspace import Workspace
from pipelines.base.files import link

OLD = 3 * 3600


@pytest.fixture
def workspace(fresh_cli: Any) -> Workspace:
    """A store with four old builds of 1,000 bytes, of which two are linked, one that is new, and one unfinished."""
    made = Workspace(fresh_cli.workspace)
    for key in ("trained", "linked", "old", "busy", "new", "old.aside-new"):
        folder = made.store / key
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(1000))
        if key != "new":
            then = folder.stat().st_mtime - OLD
            os.utime(folder, (then, then))
    link(made.trained("mnist_cnn"), made.store / "trained")
    link(made.artifact("mnist_cnn", "litert", "fp32"), made.store / "linked")
    return made


def keys(workspace: Workspace) -> set[str]:
    return {path.name for path in workspace.store.iterdir() if path.is_dir()}


def test_what_is_linked_new_or_being_built_stays(fresh_cli: Any, workspace: Workspace) -> None:
    before = keys(workspace)
    with (workspace.store / "busy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shown = fresh_cli.json("clean", "--dry-run")
        assert {build["key"] for build in shown["builds"]} == {"old", "busy", "old.aside-new"}
        assert keys(workspace) == before
        done = fresh_cli.json("clean")
        assert ({build["key"] for build in done["builds"]}, done["bytes"]) == ({"old", "old.aside-new"}, 2000)
        assert keys(workspace) == {"trained", "linked", "busy", "new"}
    assert fresh_cli.json("clean", "--older-than", "4h")["builds"] == []
    assert "2 builds, 2,000 bytes removed" in fresh_cli("clean", "--older-than", "0m").stdout
    assert keys(workspace) == {"trained", "linked"}
    assert fresh_cli("clean", "--older-than", "1 week").returncode == 2


def test_what_was_linked_meanwhile_stays(workspace: Workspace) -> None:
    (old,) = [build for build in builds(workspace) if build.key == "old"]
    link(workspace.artifact("mnist_cnn", "litert", "fp16"), workspace.store / "old")
    assert remove(workspace, old) is False
    assert "old" in keys(workspace)


def test_the_size_is_listed_and_its_count_ends(
    fresh_cli: Any, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fresh_cli.json("list")["store"] == {"folder": str(workspace.store), "bytes": 6000, "counted": True}
    assert f"store {workspace.store}: 6,000 bytes" in fresh_cli("list").stdout
    monkeypatch.setattr(unlinked, "MOST_FILES", 4)
    assert size(workspace) == (4000, False)
    assert size(Workspace(Path("/nowhere"))) == (0, True)

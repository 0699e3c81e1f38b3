"""The runtimes from npm: pinned, checked against their hashes, and kept whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipelines.base.errors import SlipwayError
from pipelines.paths.browser import runtimes
from pipelines.paths.browser.runtimes import FILES, HERE, LOCK, vendor

SMALL = "@litertjs/wasm-utils"


def locked() -> dict:
    return json.loads((HERE / "package-lock.json").read_text())


def test_every_package_is_pinned_and_hashed_and_names_no_registry() -> None:
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    packages = {name: one for name, one in locked()["packages"].items() if name}
    assert {name.removeprefix("node_modules/") for name in packages} >= set(wanted)
    assert all(one["integrity"].startswith("sha512-") and "resolved" not in one for one in packages.values())
    used = {
        "/".join(file.split("/")[: 2 if file.startswith("@") else 1])
        for some in FILES.values()
        for file in some.values()
    }
    assert used == set(wanted)


@pytest.mark.parametrize("runtime", FILES)
def test_a_payload_gets_the_files_of_its_runtime(runtime: str, tmp_path: Path) -> None:
    vendor(runtime, tmp_path / "runtime")
    assert {file.name for file in (tmp_path / "runtime").iterdir()} == set(FILES[runtime])
    for file in (tmp_path / "runtime").glob("*js"):
        # Nothing that only a bundler finds.
        assert not re.search(r"""(?:^|\n)import [^;]* from ["'][^./]""", file.read_text()), file


@pytest.fixture
def one_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of one small package in a folder of its own, and an empty place for environments."""
    here, lock = tmp_path / "here", locked()
    here.mkdir()
    name = f"node_modules/{SMALL}"
    wanted = {SMALL: lock["packages"][name]["version"]}
    lock["packages"] = {"": {**lock["packages"][""], "dependencies": wanted}, name: lock["packages"][name]}
    (here / LOCK[0]).write_text(json.dumps({"name": lock["name"], "private": True, "dependencies": wanted}))
    (here / LOCK[1]).write_text(json.dumps(lock))
    monkeypatch.setattr(runtimes, "HERE", here)
    monkeypatch.setattr(runtimes, "FILES", {"small": {"index.js": f"{SMALL}/dist/index.js"}})
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS", str(tmp_path / "kept"))
    return here


def test_only_the_files_in_use_are_kept(one_package: Path, tmp_path: Path) -> None:
    vendor("small", tmp_path / "out")
    (made,) = (tmp_path / "kept").glob("npm-*")
    assert [str(file.relative_to(made)) for file in made.rglob("*") if file.is_file()] == [f"{SMALL}/dist/index.js"]


def test_a_package_whose_hash_differs_is_refused_and_nothing_is_kept(one_package: Path, tmp_path: Path) -> None:
    lock = (one_package / LOCK[1]).read_text()
    (one_package / LOCK[1]).write_text(re.sub(r"sha512-.{6}", "sha512-AAAAAA", lock))
    with pytest.raises(SlipwayError, match=r"npm could not fetch.*(?s:.)*EINTEGRITY|integrity"):
        vendor("small", tmp_path / "out")
    assert [one for one in (tmp_path / "kept").iterdir() if one.is_dir()] == []

"""The command that we print for a missing library installs ours, not what somebody else named so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipelines.paths import PATHS, path_module
from serving.extras import DISTRIBUTION, install_command

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def installed(place: Path, monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None) -> None:
    """Lay down what pip writes about an installation, where it is found first."""
    about = place / f"{DISTRIBUTION.replace('-', '_')}-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: 0.1.0\n")
    if origin is not None:
        (about / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(place)


GIT = {"url": "https://example.org/slipway.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
ORIGINS = {
    "an index": (None, "pip install 'slipway-paths[litert]'"),
    "a checkout": (
        {"url": "file:///src/my%20slipway", "dir_info": {"editable": True}},
        "pip install -e '/src/my slipway[litert]'",
    ),
    "a folder": ({"url": "file:///src", "dir_info": {}}, "pip install '/src[litert]'"),
    "git": (GIT, "pip install 'slipway-paths[litert] @ git+https://example.org/slipway.git@abc'"),
    "a wheel": (
        {"url": "file:///wheels/a.whl", "archive_info": {}},
        "pip install 'slipway-paths[litert] @ file:///wheels/a.whl'",
    ),
}


@pytest.mark.parametrize("name", ORIGINS)
def test_an_extra_comes_from_where_we_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    origin, command = ORIGINS[name]
    installed(tmp_path, monkeypatch, origin)
    assert install_command("litert") == command


def test_the_makefiles_environment_is_set_up_by_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, {"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert install_command("litert") == f"pip install -e '{tmp_path}[litert]'"
    (tmp_path / "Makefile").touch()
    assert install_command("litert") == f"make -C {tmp_path} setup EXTRAS=litert"
    monkeypatch.chdir(tmp_path)
    assert install_command("litert") == "make setup EXTRAS=litert"


def test_make_installs_the_extras_that_are_named() -> None:
    words = ["make", "--dry-run", "setup", "EXTRAS=litert,models"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # make may run the tests
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert "-e '.[litert,models]'\n" in done.stdout
    assert 'case ",litert,models," in *,all,*|*,litert-torch,*)' in done.stdout


def test_the_project_has_the_name_and_the_extras_that_we_print() -> None:
    extras = PROJECT["optional-dependencies"]
    assert PROJECT["name"] == DISTRIBUTION != "slipway"
    assert list(PROJECT["scripts"]) == ["slipway"]
    (everything,) = extras["all"]
    assert re.match(rf"{DISTRIBUTION}\[", everything)
    named = {path_module(name).CARD.extra for name in PATHS} | {"models", "containers"}
    assert named <= extras.keys()


def test_nothing_tells_anyone_to_install_what_is_somebody_elses() -> None:
    for folder in ("models", "pipelines", "serving", "docs"):
        for file in (ROOT / folder).rglob("*.*"):
            if file.suffix in (".py", ".md", ".html"):
                assert not re.search(r"install.{0,12}\bslipway\b(?!-)", file.read_text()), file

"""``slipway inspect``: honest files are described, hostile ones cost one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hostile_files import HOSTILE
from model_files import Honest

from models.files.model import MAKERS
from pipelines.commands.cli import main
from pipelines.paths.ways import BECOMES

FRAMEWORKS = ("keras", "onnx", "tensorflow", "torch", "h5py")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the command in this process; nothing may be left of it."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))

    def inspect(*words: str) -> Result:
        done = CliRunner().invoke(main, ["inspect", *words])
        assert list(place.glob("slipway-*")) == []
        return done

    return inspect


def prospects(done: Result) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads(done.stdout)["prospects"]}


def test_a_file_is_described(honest: Honest, run: Callable[..., Result]) -> None:
    done = run(str(honest.keras))
    assert done.exit_code == 0
    assert "input ids: int32 (batch, dim_1), integers 0 to 49\n" in done.stdout
    assert "input extra: float32 (batch, 8), uniform -1.0 to 1.0 (guessed: the file does not say)\n" in done.stdout
    assert "output logits: float32 (batch, 4)\n" in done.stdout
    assert "parameters 834 in 3,336 bytes\n" in done.stdout
    assert "no core dump" in done.stdout
    assert "  tf-serving: fp32" in done.stdout.partition("cannot be made:")[0]
    assert "  tfjs: fp32, webgl, fp16  (TF.js has no kernel for Erfc" in done.stdout.partition("cannot be made:")[2]


@pytest.mark.parametrize("name", Honest.__dataclass_fields__)
def test_every_kind_is_described_as_json(honest: Honest, run: Callable[..., Result], name: str) -> None:
    done = run(str(honest.all[name]), "--json")
    value = json.loads(done.stdout)
    assert {"kind", "inputs", "outputs", "operators", "sha256", "held", "prospects"} <= set(value)
    assert any(one["possible"] for one in value["prospects"])
    if sys.platform == "linux":
        assert "no network" in value["held"]


def test_what_is_said_of_a_kind_is_what_a_run_can_make_of_it() -> None:
    assert {kind: set(forms) for kind, forms in BECOMES.items()} == {kind: set(forms) for kind, forms in MAKERS.items()}


def test_what_each_kind_becomes(honest: Honest, run: Callable[..., Result]) -> None:
    keras = prospects(run(str(honest.keras), "--json"))
    assert keras["tf-serving:fp32"]["way"] == "keras, or keras -> saved_model"
    assert "torch backend" in keras["torch-export:fp32"]["way"]
    assert "needs --inputs, to calibrate with and to judge by" in keras["litert:int8"]["notes"]
    assert keras["tfjs:fp32"]["possible"] is False
    saved = prospects(run(str(honest.texts), "--json"))
    assert [name for name, one in saved.items() if one["possible"]] == ["tf-serving:fp32"]
    assert saved["tf-serving:fp32"]["notes"] == ["needs some texts: --inputs, or values with --spec"]
    assert saved["tf-serving:xla"]["notes"] == ["takes numbers, and an input is texts"]
    program = prospects(run(str(honest.pt2), "--json"))
    assert program["executorch:fp32"]["way"] == "pt2"
    assert program["tfjs:fp32"]["possible"] is False
    graph = prospects(run(str(honest.onnx), "--json"))
    possible = {name.partition(":")[0] for name, one in graph.items() if one["possible"]}
    assert possible == {"onnxruntime", "openvino", "onnxruntime-web"}
    assert graph["onnxruntime:fp16"]["way"] == "onnx"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line(honest: Honest, run: Callable[..., Result], tmp_path: Path, name: str) -> None:
    reason, make = HOSTILE[name]
    canary = tmp_path / "canary"
    path = make(tmp_path, honest, canary)
    before = sorted(tmp_path.rglob("*"))
    done = run(str(path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("slipway: ")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    assert not canary.exists()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_hostile_file_is_an_object_with_json(honest: Honest, run: Callable[..., Result], tmp_path: Path) -> None:
    path = HOSTILE["keras_units"][1](tmp_path, honest, tmp_path / "canary")
    done = run(str(path), "--json")
    assert done.exit_code == 2
    assert "needs 2,000,000,000 numbers" in json.loads(done.stdout)["error"]


def test_code_is_described_if_the_user_allows_it(honest: Honest, run: Callable[..., Result], tmp_path: Path) -> None:
    path = HOSTILE["saved_model_python"][1](tmp_path, honest, tmp_path / "canary")
    done = run(str(path), "--allow-code")
    assert done.exit_code == 0
    assert "allowed: the operator PyFunc ('PyFunc') runs Python code\n" in done.stdout
    assert not (tmp_path / "canary").exists()


def test_no_framework_is_imported(honest: Honest, cli: Any) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "pipelines", "inspect", str(honest.keras)]
    import subprocess

    done = subprocess.run(words, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert [name for name in FRAMEWORKS if name in imported] == []

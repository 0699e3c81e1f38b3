"""Artifacts on disk: manifest, cache, certificate, reproduce.sh."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_models import named

from models.trained import TrainedModel
from pipelines.artifacts import store
from pipelines.artifacts.artifact import artifact_key, digest_of, entries, find, read_manifest
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import UserError
from pipelines.paths import litert

VARIANT = "litert:fp32"


@pytest.fixture
def folder(cli: Any, trained: TrainedModel) -> Path:
    (row,) = cli.json("package", trained.name, VARIANT)["artifacts"]
    return Path(row["folder"])


def test_the_manifest_says_what_is_there(folder: Path, trained: TrainedModel) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    for entry in manifest["files"]:
        data = (folder / "payload" / entry["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
    assert manifest["size_bytes"] == sum(entry["bytes"] for entry in manifest["files"])
    assert manifest["model_sha256"] == trained.sha256
    assert manifest["signature"]["inputs"] == [{"name": "image", "dtype": "float32", "shape": ["batch", 28, 28]}]
    assert manifest["versions"]["python"]
    assert manifest["holds"]["weights"].keys() == {"float32", "int32"}
    assert set(litert.CARD.variants["fp32"].requires) < set(manifest["versions"])


def test_the_certificate_is_bound_to_the_bytes(folder: Path) -> None:
    certificate = json.loads((folder / "certificate.json").read_text())
    assert certificate["artifact_sha256"] == digest_of(entries(folder / "payload"))
    assert certificate["passed"] is True
    assert certificate["tolerance_source"] == "variant"
    assert {check["batch"] for check in certificate["checks"]} == {
        1,
        2,
        3,
        5,
        8,
        16,
        100,
        65,
    }  # 35 rows one by one, then 965


def test_a_second_time_nothing_is_built_and_it_says_so(cli: Any, folder: Path) -> None:
    inode = folder.resolve().stat().st_ino
    (row,) = cli.json("package", "mnist_cnn", VARIANT)["artifacts"]
    assert (row["cached"], row["package"], row["verify"]) == (True, None, None)
    assert folder.resolve().stat().st_ino == inode
    assert "cached" in cli("package", "mnist_cnn", VARIANT).stderr


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("payload/mnist_cnn/model.tflite", "packaged"),
        ("manifest.json", "packaged"),
        ("reproduce.sh", "packaged"),
        ("certificate.json", "verified"),
        ("answers.npz", "verified"),
    ],
)
def test_a_changed_byte_is_reported_and_made_good(cli: Any, folder: Path, name: str, what: str) -> None:
    file = folder / name
    good = file.read_bytes()
    middle = len(good) // 2
    file.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
    done = cli("package", "mnist_cnn", VARIANT)
    assert done.returncode == 0, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("slipway: ")]
    assert f"/{name}" in said
    assert said.endswith(f": litert:fp32 is {what} again")
    assert file.exists()
    (row,) = cli.json("package", "mnist_cnn", VARIANT)["artifacts"]
    assert row["cached"] is True


def test_what_was_changed_is_not_served(cli: Any, folder: Path) -> None:
    script = folder / "reproduce.sh"
    good = script.read_text()
    script.write_text(good + "rm -r /")
    try:
        with pytest.raises(UserError, match=rf"no {VARIANT} of mnist_cnn: .*reproduce.sh is not as it was built"):
            find(Workspace(cli.workspace), "mnist_cnn", "litert", "fp32")
    finally:
        script.write_text(good)
    assert find(Workspace(cli.workspace), "mnist_cnn", "litert", "fp32").folder == folder.resolve()


def test_the_key_follows_weights_path_file_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "pipelines.paths.litert"
    first = artifact_key(litert.CARD, module, "fp32", "keras", named("mnist_cnn"))
    assert first == artifact_key(litert.CARD, module, "fp32", "keras", named("mnist_cnn"))
    assert first != artifact_key(litert.CARD, module, "fp16", "keras", named("mnist_cnn"))
    assert first != artifact_key(litert.CARD, module, "fp32", "keras", named("mnist_cnn", "1" * 64))
    assert first != artifact_key(litert.CARD, "pipelines.paths.tf_serving", "fp32", "keras", named("mnist_cnn"))
    assert first != artifact_key(litert.CARD, module, "fp32", "saved_model", named("mnist_cnn"))
    monkeypatch.setattr(store, "version_of", lambda _: "0.0.1")
    assert first != artifact_key(litert.CARD, module, "fp32", "keras", named("mnist_cnn"))


def test_other_weights_are_another_artifact(cli: Any, folder: Path, trained: TrainedModel) -> None:
    before = folder.resolve()
    try:
        weights = cli.json("train", "mnist_cnn", "--framework", "tensorflow", "--epochs", "1")["weights_sha256"]
        assert weights != trained.sha256
        (row,) = cli.json("package", "mnist_cnn", VARIANT)["artifacts"]
        # No word of --epochs here: it is the model that was trained last, and that one is not retrained.
        assert read_manifest(Path(row["folder"]) / "manifest.json").model_sha256 == weights
        assert Path(row["folder"]).resolve() != before
    finally:
        cli.json("train", "mnist_cnn", "--framework", "pytorch")
    (row,) = cli.json("package", "mnist_cnn", VARIANT)["artifacts"]
    assert row["cached"] is True
    assert Path(row["folder"]).resolve() == before


def test_a_tolerance_of_the_user_is_written_down_and_can_fail(cli: Any, folder: Path) -> None:
    try:
        (row,) = cli.json("verify", "mnist_cnn", VARIANT, "--tolerance", "1e-9", code=1)
        assert row["status"] == "failed"
        assert "max abs difference" in row["reason"]
        certificate = json.loads((folder / "certificate.json").read_text())
        assert (certificate["passed"], certificate["atol"], certificate["tolerance_source"]) == (False, 1e-9, "user")
        (row,) = cli.json("verify", "mnist_cnn", VARIANT, "--tolerance", "0.5")
        assert row["status"] == "ok"
    finally:
        (row,) = cli.json("verify", "mnist_cnn", VARIANT)
    assert row["certificate"]["tolerance_source"] == "variant"


def test_reproduce_builds_it_again_and_compares(cli: Any, folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    script = [str(folder / "reproduce.sh"), str(cli.workspace)]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "file by file" in done.stdout


def test_an_expected_manifest_that_differs_is_exit_code_1(cli: Any, folder: Path, tmp_path: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0]["sha256"] = "0" * 64
    other = tmp_path / "manifest.json"
    other.write_text(json.dumps(manifest))
    done = cli("package", "mnist_cnn", VARIANT, "--expect", str(other))
    assert done.returncode == 1
    assert f"mnist_cnn/model.tflite: expected {'0' * 64}. Received: " in done.stdout


def test_a_manifest_that_is_none_is_the_users_mistake(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    with pytest.raises(UserError, match="no manifest at"):
        read_manifest(path)
    path.write_text('{"files": []}')
    with pytest.raises(UserError, match="not a manifest that this version reads"):
        read_manifest(path)


def test_two_packagings_at_once_do_not_harm_each_other(cli: Any, folder: Path) -> None:
    both = [cli.start("package", "mnist_cnn", VARIANT, "--rebuild", "--json") for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    assert store.damage(folder) is None
    assert list((cli.workspace / "artifacts" / ".store").glob("*aside*")) == []


def test_a_packaging_that_is_killed_leaves_no_artifact_and_no_process(
    cli: Any, trained: TrainedModel, nothing_left: Any
) -> None:
    place = cli.workspace / "artifacts" / "mnist_cnn" / "litert" / "fp16"
    process = cli.start("package", "mnist_cnn", "litert:fp16", "--rebuild", start_new_session=True)
    deadline = time.monotonic() + 60
    while not list((cli.workspace / "artifacts" / ".store").glob("*aside-new")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 10
    while nothing_left():
        assert time.monotonic() < deadline, nothing_left()
        time.sleep(0.05)
    assert not place.exists() or store.damage(place) is None
    (row,) = cli.json("package", "mnist_cnn", "litert:fp16")["artifacts"]
    assert row["status"] == "ok"
    assert list((cli.workspace / "artifacts" / ".store").glob("*aside*")) == []

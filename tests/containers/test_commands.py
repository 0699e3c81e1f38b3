"""Runs the containers' commands as processes here: the commands, mistakes in them, the health check of TF Serving."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.launch import LaunchError, LaunchRequest, free_port, serve
from serving.limits import MB, memory_limit, shortage
from serving.tf_serving.recipe import recipe as tf_serving_recipe
from serving.torchserve.keys import make_key, read_key, write_keys
from serving.torchserve.state import key

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
KEY = "k" * 40


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["serve", "--model_name=m", "--model_store=/nowhere"], 2, "slipway package m torchserve"),
        (["serve", "--model_name=m"], 2, "--model_store=FOLDER"),
        (["ready"], 2, "--model_name=NAME"),
        (["ready", "--model_name=m", "--management_port=1"], 1, "not there yet"),
        (["token"], 1, "no keys yet"),
    ],
)
def test_a_mistake_in_torchserves_command_is_one_line(words: list[str], code: int, says: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving.torchserve", *words, f"--workdir={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_tf_servings_health_check_knows_when_the_model_can_predict(cli: Any, trained: Any, tmp_path: Path) -> None:
    """The very script of docker-compose.yml, with other ports, against the embedded server."""
    cli.json("package", "mnist_cnn", "tf-serving:fp32")
    payload = cli.workspace / "artifacts" / "mnist_cnn" / "tf-serving" / "fp32" / "payload"
    request = LaunchRequest("mnist_cnn", payload, tmp_path, free_port(), free_port())

    def healthy(model: str, rest_port: int = request.rest_port, grpc_port: int = request.grpc_port) -> bool:
        words = SERVICES["tf-serving"]["healthcheck"]["test"][1:]
        words[-1] = words[-1].replace("$$", "$").replace("/8501", f"/{rest_port}").replace("/8500", f"/{grpc_port}")
        done = subprocess.run(words, env={**os.environ, "MODEL_NAME": model}, timeout=20, check=False)
        return done.returncode == 0

    assert not healthy("mnist_cnn")
    with serve(tf_serving_recipe(request), tmp_path):
        assert healthy("mnist_cnn")
        assert not healthy("another")
        assert not healthy("mnist_cnn", grpc_port=free_port())
        assert not healthy("mnist_cnn", rest_port=request.grpc_port)


class TestKeys:
    def test_one_is_made_once_for_owner_and_group(self, tmp_path: Path) -> None:
        file = tmp_path / "key"
        assert make_key(file) is True
        made = read_key([file])
        assert stat.S_IMODE(file.stat().st_mode) == 0o440
        assert make_key(file) is False
        assert read_key([file]) == made
        assert [path.name for path in tmp_path.iterdir()] == ["key"]

    def test_the_first_file_that_is_not_empty_counts(self, tmp_path: Path) -> None:
        empty, full, other = (tmp_path / name for name in ("empty", "full", "other"))
        empty.touch()
        full.write_text(f"{KEY}\n")
        other.write_text("o" * 40)
        assert read_key([tmp_path / "absent", empty, full, other]) == KEY

    @pytest.mark.parametrize("text", ["short", "with a blank " * 4, "=" * 40, "ä" * 40])
    def test_another_text_is_refused_and_not_shown(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "key"
        file.write_text(text)
        with pytest.raises(LaunchError) as refused:
            read_key([file])
        assert str(file) in str(refused.value)
        assert text not in str(refused.value)

    def test_without_one_it_says_how_to_get_one(self, tmp_path: Path) -> None:
        with pytest.raises(LaunchError, match="docker compose run --rm keys; or name a file"):
            read_key([tmp_path / "absent"])

    def test_the_management_key_is_another_at_each_start(self, tmp_path: Path) -> None:
        seen = set()
        for _ in range(2):
            file = write_keys(tmp_path, KEY)
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert key(tmp_path, "inference") == KEY
            seen.add(key(tmp_path, "management"))
            assert file.read_text() == f"inference={KEY}\nmanagement={key(tmp_path, 'management')}\n"
        assert len(seen) == 2


@pytest.mark.parametrize(("text", "limit"), [("max\n", None), ("104857600\n", 100 * MB), (None, None)])
def test_the_memory_limit_of_a_control_group(tmp_path: Path, text: str | None, limit: int | None) -> None:
    file = tmp_path / "memory.max"
    if text is not None:
        file.write_text(text)
    assert memory_limit((file,)) == limit
    said = shortage("X", 200 * MB, limit)
    assert (said is None) == (limit is None)
    assert said is None or "needs 200 MB" in said
    assert said is None or "Received: a limit of 100 MB" in said


def test_a_damaged_archive_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.mar").write_bytes(b"PK\x03\x04 and no end")
    words = ["serve", "--model_name=m", f"--model_store={tmp_path}", f"--workdir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "serving.torchserve", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "is damaged" in line
    assert "slipway package m torchserve" in line

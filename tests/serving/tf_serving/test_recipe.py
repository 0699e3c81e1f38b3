"""The recipe starts a server and reports when it is ready; both clients then talk to that server."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from serving.clients import Target, client
from serving.clients.transport import send
from serving.launch import LOOPBACK, LaunchError, LaunchRequest, free_ports, serve
from serving.tf_serving.recipe import FLAVOURS, NATIVE, recipe


def request_for(payload: Path, workdir: Path, **changes) -> LaunchRequest:
    workdir.mkdir(exist_ok=True)
    rest, grpc_port = free_ports(2)
    return LaunchRequest("half plus two", payload, workdir, rest, grpc_port, **changes)


def test_flags(tmp_path):
    request = request_for(tmp_path, tmp_path / "work", threads=3)
    made = recipe(request)
    # -P: nothing is imported from the user's current folder.
    assert made.argv[:4] == (sys.executable, "-P", "-m", "serving.tf_serving")
    assert "--tensorflow_intra_op_parallelism=3" in made.argv
    assert f"--bind_address={request.host}" in made.argv
    assert made.server.startswith("slipway's TF Serving API server (TensorFlow 2.")
    assert made.endpoints == {
        "tf-serving-rest": f"http://127.0.0.1:{request.rest_port}",
        "tf-serving-grpc": f"grpc://127.0.0.1:{request.grpc_port}",
    }
    assert FLAVOURS[0] == "embedded"
    assert not any("tflite" in word for word in made.argv)


def test_a_file_of_litert_is_preferred_where_there_is_no_saved_model(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.tflite").write_bytes(b"")
    assert "--prefer_tflite_model=true" in recipe(request_for(tmp_path, tmp_path / "work")).argv


def test_flavours(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LaunchError, match=f"{NATIVE} is not on PATH"):
        recipe(request_for(tmp_path, tmp_path / "work", flavour="native"))
    with pytest.raises(LaunchError, match=r"unknown flavour.*'other'"):
        recipe(request_for(tmp_path, tmp_path / "work", flavour="other"))
    program = tmp_path / NATIVE
    program.write_text("#!/bin/sh\necho 'TensorFlow ModelServer: 2.20.0'\n")
    program.chmod(0o755)
    made = recipe(request_for(tmp_path, tmp_path / "work", flavour="native"))
    assert made.server == f"{NATIVE} (2.20.0; it listens on every address)"
    assert made.argv[0] == str(program)
    assert not any("bind_address" in word for word in made.argv)


def test_a_payload_that_is_not_there(tmp_path):
    with pytest.raises(LaunchError, match=r"must be a folder with versions of a model\. Received: .*absent"):
        recipe(request_for(tmp_path / "absent", tmp_path / "work"))


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_a_served_model_answers_both_clients_as_the_original(family, half_plus_two, tmp_path, request):
    host = LOOPBACK if family == "IPv4" else request.getfixturevalue("ipv6_loopback")
    shutil.copytree(half_plus_two, tmp_path / "models/1")
    made = recipe(request_for(tmp_path / "models", tmp_path / "work", host=host))
    x = np.array([[0.1], [-3.0], [1e7]], np.float32)
    with serve(made, tmp_path / "work", timeout_s=90) as server:
        for protocol, url in made.endpoints.items():
            target = Target(url, "half plus two", {"y": "float32"})
            module = client(protocol)
            outputs = module.decode(target, send(module.call(target), module.encode(target, {"x": x})))
            assert outputs["y"].dtype == np.float32
            np.testing.assert_array_equal(outputs["y"], np.float32(0.5) * x + np.float32(2))
    assert server.exit_text() == "exit code 0"


def test_a_model_that_does_not_load_ends_the_wait(tmp_path):
    (tmp_path / "models/1").mkdir(parents=True)
    with (
        pytest.raises(LaunchError, match="could not load half plus two: NOT_FOUND: Could not find SavedModel"),
        serve(recipe(request_for(tmp_path / "models", tmp_path / "work")), tmp_path / "work", timeout_s=90),
    ):
        pass

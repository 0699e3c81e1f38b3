"""Servers that run already: how they are named, and asking them by `predict` and `loadtest`."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.errors import UserError
from pipelines.run.addresses import among, parse

URLS = "http://h:1,grpc://h:2"


def test_a_server_is_named_by_path_addresses_and_tokens() -> None:
    (found,) = parse([f"torchserve={URLS},token=/a,token=/b"])
    assert found.choice.name == "torchserve:export"
    assert found.urls == {
        "torchserve-rest": "http://h:1",
        "torchserve-rest-binary": "http://h:1",
        "torchserve-grpc": "grpc://h:2",
    }
    assert found.tokens == (Path("/a"), Path("/b"))


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("tf-serving", "is given as PATH"),
        ("tf-serving=", "is given as PATH"),
        ("tf-serving=token=/a", "is given as PATH"),
        ("tf-serving=ftp://h:1", "http://HOST:PORT or grpc://HOST:PORT. Received: ftp://h:1"),
        ("tf-servin=http://h:1", "Did you mean tf-serving"),
        ("tf-serving:fp31=http://h:1", "unknown variant"),
        ("litert=http://h:1", "has no server"),
    ],
)
def test_a_name_that_is_none_is_refused(word: str, says: str) -> None:
    with pytest.raises(UserError) as refused:
        parse([word])
    assert says in str(refused.value)


def test_a_path_stands_for_the_variant_that_is_served() -> None:
    servers = parse([f"torchserve:torchscript={URLS}", f"tf-serving={URLS}"])
    assert among(servers, []) == servers
    assert [found.choice.name for found in among(servers, ["torchserve"])] == ["torchserve:torchscript"]
    with pytest.raises(
        UserError, match=r"no running server of onnxruntime is known\. Received: torchserve:torchscript"
    ):
        among(servers, ["onnxruntime"])
    with pytest.raises(UserError, match="no running server of torchserve:export"):
        among(servers, ["torchserve:export"])


def test_the_token_is_in_the_first_file_that_holds_one(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.touch()
    full.write_text("secret\n")
    (found,) = parse([f"torchserve={URLS},token={tmp_path / 'absent'},token={empty},token={full}"])
    assert found.token() == "secret"
    (found,) = parse([f"torchserve={URLS},token={empty}"])
    with pytest.raises(UserError, match="no token for torchserve:export"):
        found.token()
    (found,) = parse([f"tf-serving={URLS}"])
    assert found.token() is None


@pytest.fixture(scope="module")
def running(cli: Any) -> Iterator[str]:
    """ONNX Runtime's server as `slipway serve` starts it: its name and addresses."""
    process = cli.start("serve", "onnxruntime", "--json")
    try:
        assert process.stdout is not None
        endpoints = json.loads(process.stdout.readline())["endpoints"]
        yield f"onnxruntime={','.join(dict.fromkeys(endpoints.values()))}"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_predict_asks_the_running_server(cli: Any, running: str) -> None:
    (answer,) = cli.json("predict", "onnxruntime", "--from-test-set", "0", "--at", running)
    assert answer["labels"][0]["label"] == answer["truth"] == "7"


@pytest.mark.parametrize("protocol", ["open-inference-rest-binary", "open-inference-grpc"])
def test_predict_speaks_the_wanted_protocol(cli: Any, running: str, protocol: str) -> None:
    words = ("predict", "onnxruntime", "--from-test-set", "0", "--protocol", protocol)
    (answer,) = cli.json(*words, "--at", running)
    assert answer["labels"][0]["label"] == "7"
    url = running.partition("=")[2].split(",")[protocol.endswith("-grpc")]
    assert cli.json(*words, "--url", url) == [answer]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("onnxruntime", "--url", "http://h:1", "--protocol", "open-inference-grpc"), "open-inference-rest-binary at"),
        (("tf-serving", "--url", "http://h:1", "--protocol", "tf-serving-rest-binary"), "has no binary tensors"),
        (("onnxruntime", "--protocol", "open-inference-rest-binary"), "--protocol is for a running server"),
    ],
)
def test_a_protocol_that_is_not_spoken_is_refused(fresh_cli: Any, words: tuple[str, ...], says: str) -> None:
    done = fresh_cli("predict", *words, "--from-test-set", "0")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert says in line


def test_the_environment_names_servers_and_model(cli: Any, running: str) -> None:
    env = {**os.environ, "SLIPWAY_SERVERS": running, "SLIPWAY_MODEL": "mnist_cnn"}
    done = cli("loadtest", "--duration", "1", "--scenario", "offline", "--json", env=env)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    rows = {row["protocol"] or row["where"]: row for row in report["rows"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "open-inference-rest": "ok",
        "open-inference-rest-binary": "ok",
        "open-inference-grpc": "ok",
        "in-process": "skipped",
    }
    assert report["fairness"]["server_cpus"] == []
    for name in ("open-inference-rest", "open-inference-rest-binary", "open-inference-grpc"):
        assert rows[name]["scenarios"][0]["match_share"] == 1
        assert rows[name]["peak_memory_bytes"] is None
        assert rows[name]["cold_start_s"] is None
    kept = cli.workspace / "reports" / "mnist_cnn" / "latest"
    assert json.loads((kept / "report.json").read_text()) == report
    assert (kept / "report.html").exists()


def test_a_server_that_is_not_there_fails_its_row(cli: Any, running: str) -> None:
    words = ("loadtest", "mnist_cnn", "--at", "onnxruntime=http://127.0.0.1:1", "--duration", "1", "--json")
    done = cli(*words)
    assert done.returncode == 1
    rows = {row["protocol"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["open-inference-rest"]["status"] == "failed"
    assert "the first request failed" in rows["open-inference-rest"]["reason"]
    assert rows["open-inference-grpc"]["reason"] == "no address was given"


def test_without_a_trained_model_it_says_what_to_do(fresh_cli: Any) -> None:
    done = fresh_cli("loadtest", "mnist_cnn", "--at", "onnxruntime=http://127.0.0.1:1")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert "no trained mnist_cnn to read" in line
    assert "slipway package mnist_cnn" in line

"""Versions that come, go and fail while the server runs, and their warm-up (sections H9 and J)."""

from __future__ import annotations

import json
import shutil
import threading

import pytest

from serving.tf_serving.config import VersionPolicy
from serving.tf_serving.versions import aspired, fingerprint, versions_on_disk

X2 = '{"instances":[2.0]}'


def states(server, name: str) -> dict[str, str]:
    _, body = server.json(f"/v1/models/{name}")
    return {version["version"]: version["state"] for version in body["model_version_status"]}


def failure(server, name: str) -> tuple[str, str]:
    _, body = server.json(f"/v1/models/{name}")
    (version,) = body["model_version_status"]
    assert version["state"] == "END"
    return version["status"]["error_code"], version["status"]["error_message"]


def test_a_new_version_takes_over_without_a_gap(server, zoo, half_plus_two, until, tmp_path):
    assert server.json("/v1/models/switch:predict", X2) == (200, {"predictions": [3.0]})
    answers, stop = [], threading.Event()

    def keep_asking():
        while not stop.is_set():
            answers.append(server.ask("/v1/models/switch:predict", X2)[0])

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        shutil.copytree(half_plus_two, tmp_path / "2")
        (tmp_path / "2").rename(server.models / "switch/2")
        until(lambda: states(server, "switch") == {"2": "AVAILABLE", "1": "END"})
    finally:
        stop.set()
        asking.join()
    assert set(answers) == {200}
    assert server.json("/v1/models/switch/versions/1:predict", X2)[0] == 404
    # A version that cannot be loaded leaves the one before it in service.
    (server.models / "switch/3").mkdir()
    until(lambda: states(server, "switch").get("3") == "END")
    assert states(server, "switch") == {"3": "END", "2": "AVAILABLE", "1": "END"}
    assert server.json("/v1/models/switch:predict", X2) == (200, {"predictions": [3.0]})
    # Its files arrive late: it is tried again.
    shutil.copytree(half_plus_two, server.models / "switch/3", dirs_exist_ok=True)
    until(lambda: states(server, "switch") == {"3": "AVAILABLE", "2": "END", "1": "END"})
    # And when every version is taken away, nothing is served.
    for version in ("1", "2", "3"):
        shutil.rmtree(server.models / "switch" / version)
    until(lambda: set(states(server, "switch").values()) == {"END"})
    assert server.json("/v1/models/switch:predict", X2)[0] == 404


def test_warm_up_runs_before_a_version_is_available(server):
    assert states(server, "warm") == {"1": "AVAILABLE"}
    log = server.process.log.read_text()
    warmed, loaded = log.index("Ran 3 warm-up requests"), log.index("Successfully loaded servable version {name: warm ")
    assert warmed < loaded


def test_an_empty_warm_up_file_is_fine(server):
    assert states(server, "warm_empty") == {"1": "AVAILABLE"}


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("warm_failing", "INVALID_ARGUMENT", "Signature input alias: x"),
        ("warm_text", "DATA_LOSS", ""),
        ("warm_other", "INVALID_ARGUMENT", "Failed to parse warmup record"),
        ("warm_many", "INVALID_ARGUMENT", "Number of warmup records exceeds the maximum (1000)"),
    ],
)
def test_warm_up_that_fails_keeps_a_version_away(server, name, code, message):
    received, text = failure(server, name)
    assert received == code
    assert message in text
    status, body = server.json(f"/v1/models/{name}:predict", json.dumps({"instances": [1.0]}))
    assert (status, body["error"]) == (404, f"Servable not found for request: Latest({name})")


def test_versions_on_disk(tmp_path):
    for name in ("1", "00000012", "x1", "-3", "1.5", "٣", str(2**63)):
        (tmp_path / name).mkdir()
    (tmp_path / "7").write_text("a file")
    assert versions_on_disk(tmp_path) == {1: tmp_path / "1", 12: tmp_path / "00000012"}
    with pytest.raises(OSError, match="absent"):
        versions_on_disk(tmp_path / "absent")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (VersionPolicy(), [12]),
        (VersionPolicy(latest=2), [12, 5]),
        (VersionPolicy(latest=None), [12, 5, 1]),
        (VersionPolicy(latest=None, specific=frozenset({1, 99})), [1]),
    ],
)
def test_aspired(tmp_path, policy, expected):
    assert list(aspired(dict.fromkeys((5, 12, 1), tmp_path), policy)) == expected


def test_fingerprint(tmp_path):
    empty = fingerprint(tmp_path)
    (tmp_path / "a").write_text("1")
    assert fingerprint(tmp_path) != empty
    assert fingerprint(tmp_path) == fingerprint(tmp_path)

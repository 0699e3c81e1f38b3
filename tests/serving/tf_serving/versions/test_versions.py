"""Versions that come, go and fail while the server runs, and their warm-up (sections H9 and J)."""

from __future__ import annotations

import json
import shutil
import threading

import pytest

from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.calls.warmup import run_log, run_records
from serving.tf_serving.settings.models import VersionPolicy
from serving.tf_serving.versions.confine import check_inside
from serving.tf_serving.versions.on_disk import aspired, fingerprint, versions_on_disk

X2 = '{"instances":[2.0]}'


def states(server, name: str) -> dict[str, str]:
    _, body = server.json(f"/v1/models/{name}")
    return {version["version"]: version["state"] for version in body["model_version_status"]}


def failure(server, name: str) -> tuple[str, str]:
    _, body = server.json(f"/v1/models/{name}")
    (version,) = body["model_version_status"]
    assert version["state"] == "END"
    return version["status"]["error_code"], version["status"]["error_message"]


@pytest.mark.parametrize("case", ["H9"])
def test_a_new_version_takes_over_without_a_gap(server, half_plus_two, until, tmp_path, case):
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
    # If a version cannot be loaded, the version before it stays in service.
    (server.models / "switch/3").mkdir()
    until(lambda: states(server, "switch").get("3") == "END")
    assert states(server, "switch") == {"3": "END", "2": "AVAILABLE", "1": "END"}
    assert server.json("/v1/models/switch:predict", X2) == (200, {"predictions": [3.0]})
    # Its files arrive late: it is retried.
    shutil.copytree(half_plus_two, server.models / "switch/3", dirs_exist_ok=True)
    until(lambda: states(server, "switch") == {"3": "AVAILABLE", "2": "END", "1": "END"})
    # When every version is removed, nothing is served.
    for version in ("1", "2", "3"):
        shutil.rmtree(server.models / "switch" / version)
    until(lambda: set(states(server, "switch").values()) == {"END"})
    assert server.json("/v1/models/switch:predict", X2)[0] == 404


@pytest.mark.parametrize("case", ["H4"])
def test_the_configuration_file_is_not_read_again(server, half_plus_two, until, case):
    file = server.models / "config.txt"
    text = file.read_text()
    more = f'  config {{ name: "late" base_path: "{server.models}/spare" model_platform: "tensorflow" }}\n}}\n'
    file.write_text(text.removesuffix("}\n") + more)
    shutil.copytree(half_plus_two, server.models / "spare/2")
    until(lambda: states(server, "spare").get("2") == "AVAILABLE")  # the folders have been read since
    assert server.json("/v1/models/late")[0] == 404
    file.write_text(text)


@pytest.mark.parametrize("case", ["G2"])
def test_the_status_of_a_version_that_cannot_be_loaded(server, case):
    assert failure(server, "broken")[0] == "DATA_LOSS"


def test_a_link_out_of_the_base_path_is_not_followed(server):
    code, message = failure(server, "linked")
    assert code == "PERMISSION_DENIED"
    assert "leads out of the model's base path" in message
    assert server.json("/v1/models/linked:predict", X2)[0] == 404


def test_links_in_a_version(tmp_path):
    base, elsewhere = tmp_path / "base", tmp_path / "base_elsewhere"
    (base / "1/variables").mkdir(parents=True)
    (elsewhere / "variables").mkdir(parents=True)
    (base / "1/file").write_text("")
    (base / "1/inside").symlink_to(base / "1/file")
    check_inside(base, base / "1")
    (tmp_path / "link_to_base").symlink_to(base)
    check_inside(tmp_path / "link_to_base", tmp_path / "link_to_base/1")
    for name, target in (("variables/data", "/etc/passwd"), ("assets", elsewhere), ("up", "../.."), ("gone", "/gone")):
        (base / "1" / name).symlink_to(target)
        with pytest.raises(ServingError, match="leads out of the model's base path"):
            check_inside(base, base / "1")
        (base / "1" / name).unlink()


@pytest.mark.parametrize("case", ["J1"])
def test_no_warm_up_file_is_fine(server, case):
    assert states(server, "half_plus_three") == {"123": "AVAILABLE"}
    assert f"warm-up requests of {server.models}/half_plus_three" not in server.process.log.read_text()


def test_every_kind_of_warm_up_record(server):
    assert states(server, "warm_kinds") == {"1": "AVAILABLE"}
    assert "Ran 5 warm-up requests" in server.process.log.read_text()
    _, page, _ = server.ask("/monitoring/prometheus/metrics")
    labels = f'model_path="{server.models}/warm_kinds/1",status="OK"'
    assert f":tensorflow:serving:model_warmup_latency_count{{{labels}}} 1\n" in page.decode()


def test_warm_up_runs_before_a_version_is_available(server):
    assert states(server, "warm") == {"1": "AVAILABLE"}
    log = server.process.log.read_text()
    warmed, loaded = log.index("Ran 3 warm-up requests"), log.index("Successfully loaded servable version {name: warm ")
    assert warmed < loaded


@pytest.mark.parametrize("case", ["J2"])
def test_an_empty_warm_up_file_is_fine(server, case):
    assert states(server, "warm_empty") == {"1": "AVAILABLE"}


def test_records_are_run_as_often_as_asked(server):
    seen = []
    assert run_records(server.models / "warm/1", seen.append, iterations=2) == 3
    assert len(seen) == 6
    assert {log.WhichOneof("log_type") for log in seen} == {"predict_log"}


def test_a_record_that_cannot_be_run(server):
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog(session_run_log=prediction_log_pb2.SessionRunLog())
    with pytest.raises(ServingError, match="UNIMPLEMENTED: Unsupported log_type for warmup: 5"):
        run_log(None, log, check_method=False)


@pytest.mark.parametrize("case", ["J3"])
def test_a_warm_up_file_of_another_format(server, case):
    code, message = failure(server, "warm_text")
    assert code == "DATA_LOSS"
    assert message.endswith(". Please verify your warmup data is in TFRecord format.")


@pytest.mark.parametrize("case", ["J6"])
def test_a_warm_up_request_that_fails(server, case):
    code, message = failure(server, "warm_failing")
    assert code == "INVALID_ARGUMENT"
    assert "Signature input alias: x" in message


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
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

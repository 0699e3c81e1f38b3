"""Configurations that change while the server runs: the file, the request, labels, and retried versions."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from serving.conformance.write import BAD

X2 = '{"instances":[2.0]}'


def entry(root: Path, name: str, more: str = "", folder: str = "", platform: str = "tensorflow") -> str:
    path = root / (folder or name)
    return f'config {{ name: "{name}" base_path: "{path}" model_platform: "{platform}" {more} }}\n'


def label(name: str, version: int) -> str:
    return f'version_labels {{ key: "{name}" value: {version} }}'


def listed(*entries: str) -> str:
    return f"model_config_list {{ {''.join(entries)} }}"


@pytest.fixture(scope="module")
def changing(written, run_server, tmp_path_factory):
    """A server that reads its configuration file every second; half_plus_two is in it."""
    workdir = tmp_path_factory.mktemp("changing")
    file = workdir / "config.txt"
    file.write_text(listed(entry(written, "half_plus_two")))
    flags = (
        f"--model_config_file={file}",
        "--model_config_file_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models",
        "--max_num_load_retries=1",
        "--load_retry_interval_micros=300000",
        f"--monitoring_config_file={written}/monitoring.config",
    )
    with run_server(workdir, written, "half_plus_two", *flags) as server:
        yield server, file


def predicts(server, model: str) -> tuple[int, object]:
    status, body = server.json(f"/v1/models/{model}:predict", X2)
    return status, body.get("predictions")


def states(server, model: str) -> dict[str, str]:
    status, body = server.json(f"/v1/models/{model}")
    return {item["version"]: item["state"] for item in body["model_version_status"]} if status == 200 else {}


def reload(server, text: str) -> tuple[str, str]:
    """Status and message of a HandleReloadConfigRequest."""
    from google.protobuf import text_format
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, request.config)
    with server.channel() as channel:
        try:
            response = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60)
        except grpc.RpcError as error:
            return error.code().name, error.details()
    assert response.status.error_code == 0
    return "OK", ""


@pytest.mark.parametrize("case", ["H3"])
def test_the_file_is_followed(changing, written, until, case):
    server, file = changing
    assert predicts(server, "half_plus_two") == (200, [3.0])
    file.write_text(listed(entry(written, "half_plus_three")))
    until(lambda: predicts(server, "half_plus_three") == (200, [4.0]))
    until(lambda: predicts(server, "half_plus_two")[0] == 404)
    assert states(server, "half_plus_two") == {"123": "END"}
    # A file that is not a valid configuration changes nothing, and is logged once.
    file.write_text("model_config_list { no")
    until(lambda: "PollFilesystemAndReloadConfig failed" in server.process.log.read_text())
    assert predicts(server, "half_plus_three") == (200, [4.0])
    both = listed(entry(written, "half_plus_two"), entry(written, "half_plus_three"))
    file.write_text(both)
    until(lambda: predicts(server, "half_plus_two") == (200, [3.0]))
    assert predicts(server, "half_plus_three") == (200, [4.0])
    assert server.process.log.read_text().count("PollFilesystemAndReloadConfig failed") == 1


def test_versions_follow_the_policy(changing, written, until):
    server, file = changing
    name = "half_plus_two_2_versions"
    for policy, expected in (
        ("", {"124": "AVAILABLE"}),
        ("model_version_policy { all {} }", {"124": "AVAILABLE", "123": "AVAILABLE"}),
        ("model_version_policy { specific { versions: 123 } }", {"124": "END", "123": "AVAILABLE"}),
        ("model_version_policy { latest { num_versions: 2 } }", {"124": "AVAILABLE", "123": "AVAILABLE"}),
    ):
        file.write_text(listed(entry(written, name, policy), entry(written, "half_plus_two")))
        until(lambda expected=expected: states(server, name) == expected)


@pytest.mark.parametrize("case", ["H6"])
def test_labels_of_versions_that_are_not_available(changing, written, command, case, tmp_path, until):
    server, file = changing
    two = "half_plus_two"

    def config(*labels: str) -> str:
        return listed(entry(written, two, "".join(labels)))

    not_available = f"Request to assign label to version 5 of model {two}, which is not currently available"
    file.write_text(config(label("stable", 123)))
    until(lambda: predicts(server, f"{two}/labels/stable") == (200, [3.0]))
    # A new label may name any version here; a label in use may not be moved to an unavailable one.
    assert reload(server, config(label("stable", 123), label("next", 5))) == ("OK", "")
    status, body = server.json(f"/v1/models/{two}/labels/next:predict", X2)
    assert (status, body["error"]) == (404, f"Servable not found for request: Specific({two}, 5)")
    code, message = reload(server, config(label("stable", 5)))
    assert code == "FAILED_PRECONDITION"
    assert not_available in message
    assert predicts(server, f"{two}/labels/stable") == (200, [3.0])
    # Without the flag, even a new label is refused, and the server does not start.
    (tmp_path / "config").write_text(config(label("next", 5)))
    _, err = command("--port=0", "--rest_api_port=1", f"--model_config_file={tmp_path}/config").communicate(timeout=60)
    assert f"Failed to start server. Error: FAILED_PRECONDITION: {not_available}" in err


def test_a_request_changes_the_configuration(changing, written, until):
    server, file = changing
    file.unlink()  # else the file would be followed again
    assert reload(server, listed(entry(written, "half_plus_three"))) == ("OK", "")
    assert predicts(server, "half_plus_three") == (200, [4.0])
    until(lambda: predicts(server, "half_plus_two")[0] == 404)
    two = entry(written, "half_plus_two")
    for text, code, message in (
        (listed(two, two), "INVALID_ARGUMENT", "Illegal to list model half_plus_two multiple times in config list"),
        (
            listed(entry(written, "half_plus_three", platform="other")),
            "INVALID_ARGUMENT",
            "Illegal to change a model's platform. For model half_plus_three platform was tensorflow "
            "and new platform requested is other",
        ),
        (
            listed(entry(written, "new", platform="other")),
            "INVALID_ARGUMENT",
            "Model new requests unsupported platform other",
        ),
        (
            listed(entry(Path("relative"), "new")),
            "INVALID_ARGUMENT",
            "Expected model new to have an absolute path or URI; got base_path()=relative/new",
        ),
        (listed(entry(written, "gone")), "UNKNOWN", "1 model(s) did not become available: {{{name: gone}}, }"),
    ):
        received, text = reload(server, text)
        assert received == code
        assert message in text


def test_a_version_that_fails_is_tried_again(changing, written):
    """It is retried once, as the flags say; the request waits for that, and other models are served meanwhile."""
    server, _ = changing
    code, message = reload(server, listed(entry(written, BAD), entry(written, "half_plus_three")))
    assert code == "UNKNOWN"
    assert f"1 model(s) did not become available: {{{{{{name: {BAD} version: 123}} due to error: DATA_LOSS" in message
    assert states(server, BAD) == {"123": "END"}
    assert predicts(server, "half_plus_three") == (200, [4.0])
    _, page, _ = server.ask("/monitoring/prometheus/metrics")
    folder = written / BAD / "00000123"
    line = f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{folder}",status="fail"}} 2\n'
    assert line in page.decode()

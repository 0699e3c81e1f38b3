"""The commands as a user meets them: help, lists, and one clear line for every mistake."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from pipelines.commands.cli import main
from pipelines.paths import PATHS, path_module
from serving.extras import install_command

COMMANDS = (
    "list", "inspect", "train", "package", "verify", "rollout", "serve", "predict", "web", "run", "report", "advise",
    "claims", "clean", "loadtest", "loadtest-url", "calibrate", "conform", "manifests",
)  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(cli: Any, name: str) -> None:
    done = cli(name, "--help")
    assert done.returncode == 0
    assert f"  Examples:\n    slipway {name}" in done.stdout
    assert "--json" in done.stdout


@pytest.mark.parametrize("name", main.list_commands(click.Context(main)))
def test_every_paragraph_of_a_commands_help_begins_at_the_same_margin(name: str) -> None:
    text = CliRunner().invoke(main, [name, "--help"]).output.partition("Examples:")[0]
    paragraphs = [line for line in text.splitlines()[1:] if line.strip()]
    assert paragraphs
    assert {len(line) - len(line.lstrip()) for line in paragraphs} == {2}


def test_the_group_lists_every_command(cli: Any) -> None:
    listed = cli("--help").stdout.partition("Commands:\n")[2]
    named = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "]
    assert named == list(COMMANDS)


def test_list_shows_every_path_and_variant(cli: Any) -> None:
    listed = cli.json("list")
    assert [path["name"] for path in listed["paths"]] == list(PATHS)
    for path in listed["paths"]:
        assert list(path["variants"]) == list(path_module(path["name"]).CARD.variants)
        assert bool(path["protocols"]) != bool(path["no_server"])
    text = cli("list").stdout
    assert all(f"{path}:" in text for path in PATHS)
    environments = {path["name"]: path["environment"] for path in listed["paths"] if path["environment"]}
    assert environments == {"tfjs": ["tensorflowjs==4.22.0"]}
    assert "packaged in an environment of its own: tensorflowjs==4.22.0" in text


HEAVY = ("torch", "tensorflow", "keras", "onnx", "onnxruntime", "kserve", "ai_edge_litert", "ts", "mlxtend", "pandas")
HEAVY += ("numpy", "pydantic", "asyncio", "plotly", "rich")  # each would cost more than all that these commands do


@pytest.mark.parametrize("words", [["list"], ["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_listing_and_help_import_nothing_heavy(cli: Any, words: list[str]) -> None:
    program = (
        "import sys\nfrom pipelines.commands.cli import main\n"
        f"try: main({words!r})\nfinally:\n  loaded = set({HEAVY!r}) & set(sys.modules)\n  assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


MISTAKES = {
    "model": (["package", "mnist_cn"], "unknown model: 'mnist_cn'. Did you mean mnist_cnn?"),
    # The workspace may hold models of other tests, which are listed after these.
    "model far off": (["run", "resnet"], "unknown model: 'resnet'. Known: mnist_cnn, efficientnet_lite0, minilm"),
    "path": (["package", "mnist_cnn", "lite-rt"], "unknown path: 'lite-rt'. Did you mean litert"),
    "path in capitals": (["run", "mnist_cnn", "LiteRT"], "unknown path: 'LiteRT'. Did you mean litert"),
    "variant": (["verify", "mnist_cnn", "litert:int4"], "variant of litert: 'int4'. Did you mean int8"),
    "empty path": (["package", "mnist_cnn", ""], "unknown path: ''"),
    "scenario": (
        ["loadtest", "mnist_cnn", "--scenario", "ofline"],
        "scenario: 'ofline'. Did you mean offline?",
    ),
    "rate": (
        ["loadtest", "mnist_cnn", "litert", "--rate", "1e9"],
        "out of range. Received: 1000000000.0",
    ),
    "negative rate": (["loadtest", "mnist_cnn", "--rate", "-1"], "Invalid value for '--rate'"),
    "no rate at all": (["loadtest", "mnist_cnn", "litert", "--rate", "nan"], "Received: nan"),
    "server": (
        ["run", "mnist_cnn", "tf-serving", "--server", "natve"],
        "unknown server of tf-serving: 'natve'. Did you mean native?",
    ),
    "curve without its scenario": (
        ["run", "mnist_cnn", "--curve", "--scenario", "offline"],
        "--curve belongs to the server scenario. Received: --scenario offline. Add --scenario server.",
    ),
    "no rounds": (["run", "mnist_cnn", "--repeat", "0"], "Invalid value for '--repeat'"),
    "no duration": (
        ["run", "mnist_cnn", "--budget", "soon"],
        "expected a duration such as 90, 90s, 10m or 1h. Received: soon",
    ),
    "short duration": (["run", "mnist_cnn", "--duration", "0.1"], "expected 0.5 to 3600 s. Received: 0.1"),
    "long search": (["loadtest-url", "http://127.0.0.1:9/", "--budget", "2h"], "expected 5 to 3600 s. Received: 2h"),
    "negative seed": (["run", "mnist_cnn", "--seed", "-1"], "Invalid value for '--seed'"),
    "no server": (["serve", "litert"], "litert has no server: LiteRT is a library inside an application"),
    "claim": (["claims", "show", "P9"], "unknown claim: 'P9'. Did you mean "),
    "claim to measure": (["claims", "run", "Q1"], "unknown claim: 'Q1'"),
    "no input": (["predict", "litert"], "nothing to predict. Name a picture, an .npy file or -"),
    "no such picture": (
        ["predict", "litert", "/nowhere.png"],
        "No such file or directory. Received: /nowhere.png",
    ),
    "url": (
        ["predict", "tf-serving", "--from-test-set", "0", "--url", "localhost:1"],
        "--url takes http://HOST:PORT or grpc://HOST:PORT. Received: localhost:1",
    ),
    "url of a path with no server": (
        ["predict", "litert", "--from-test-set", "0", "--url", "http://127.0.0.1:1"],
        "litert has no server",
    ),
    "manifest": (["package", "mnist_cnn", "litert", "--expect", "/nowhere.json"], "no manifest at /nowhere.json"),
    "port number": (["serve", "tf-serving", "--rest-port", "99999"], "Invalid value for '--rest-port'"),
    "command": (["pakage"], "No such command 'pakage'"),
    "workspace": (
        ["--workspace", "/proc/nowhere", "package", "mnist_cnn"],
        "cannot write to the workspace /proc",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line_and_exit_code_2(cli: Any, name: str) -> None:
    words, message = MISTAKES[name]
    done = cli(*words)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("slipway:")]
    # click reports the words that it refuses itself with a usage line before.
    assert len(lines) == 1 or done.stderr.startswith("Usage:")


@pytest.fixture
def picture(tmp_path: Path, trained: Any) -> Path:
    from PIL import Image

    row = np.rint(trained.evaluation().inputs["image"][0] * 255).astype(np.uint8)
    Image.fromarray(row).save(tmp_path / "digit.png")
    return tmp_path / "digit.png"


def test_predict_in_process_for_pictures_arrays_and_standard_input(cli: Any, picture: Path, trained: Any) -> None:
    test = trained.evaluation()
    np.save(picture.with_suffix(".npy"), test.inputs["image"][:2])
    answers = cli.json("predict", "litert", str(picture), str(picture.with_suffix(".npy")), "--from-test-set", "5")
    names = [answer["input"].rpartition("/")[2] for answer in answers]
    assert names == ["digit.png", "digit.npy[0]", "digit.npy[1]", "test row 5"]
    labels = [answer["labels"][0]["label"] for answer in answers]
    assert labels == [str(test.labels[row]) for row in (0, 0, 1, 5)]
    assert [answer["truth"] for answer in answers] == [None, None, None, str(test.labels[5])]
    with picture.open("rb") as file:
        done = cli("predict", "litert:int8", "-", stdin=file)
    assert done.returncode == 0, done.stderr
    label, probability = done.stdout.split()[1:]
    assert label == str(test.labels[0])
    assert 0.5 < float(probability.rstrip("%")) / 100 <= 1


def test_a_row_that_the_test_data_does_not_have(cli: Any, trained: Any) -> None:
    done = cli("predict", "litert", "--from-test-set", "1000")
    assert done.returncode == 2
    assert "the test data has rows 0 to 999. Received: 1000" in done.stderr


def test_nobody_at_the_url(cli: Any, picture: Path) -> None:
    for url in ("http://127.0.0.1:9", "grpc://127.0.0.1:9"):
        done = cli("predict", "tf-serving", str(picture), "--url", url)
        assert done.returncode == 2
        assert "no server answers" in done.stderr
        assert "Traceback" not in done.stderr


def test_no_report_yet(fresh_cli: Any) -> None:
    done = fresh_cli("report", "mnist_cnn")
    assert done.returncode == 2
    assert "no report of mnist_cnn in " in done.stderr
    assert "Run: slipway run mnist_cnn" in done.stderr


def test_a_port_in_use(cli: Any, trained: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = cli("serve", "onnxruntime", "--rest-port", str(port))
    assert done.returncode == 2
    assert f"port {port} of 127.0.0.1 cannot be used: Address already in use" in done.stderr
    assert done.stdout == ""


HIDE = """
import importlib.metadata
_version = importlib.metadata.version
def version(name):
    if name in ("ai-edge-litert", "litert-quantizer"):
        raise importlib.metadata.PackageNotFoundError(name)
    return _version(name)
importlib.metadata.version = version
"""


def test_a_missing_extra_is_a_skipped_row_with_the_command_that_brings_it(
    cli: Any, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    rows = cli.json("package", "mnist_cnn", "litert")["artifacts"]
    assert {row["status"] for row in rows} == {"skipped"}
    reason = f"not installed: ai-edge-litert, litert-quantizer; {install_command('litert')}"
    assert {row["variant"]: row["reason"] for row in rows}["int8"] == reason
    assert reason in cli("list").stdout


def test_a_missing_framework_skips_the_variants_that_are_made_from_it_and_no_other(
    cli: Any, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE.replace('"ai-edge-litert", "litert-quantizer"', '"tensorflow",'))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    reason = f"not installed: tensorflow; {install_command('onnxruntime')}"
    rows = cli.json("package", "mnist_cnn", "onnxruntime:pytorch", "onnxruntime:keras")["artifacts"]
    assert {row["variant"]: (row["framework"], row["status"], row["reason"]) for row in rows} == {
        "pytorch": ("pytorch", "ok", None),
        "keras": ("tensorflow", "skipped", reason),
    }
    listed = {path["name"]: path["variants"] for path in cli.json("list")["paths"]}
    assert listed["onnxruntime"]["pytorch"]["missing"] == []
    assert listed["onnxruntime"]["keras"]["missing"] == ["tensorflow"]
    assert listed["onnxruntime"]["keras"]["install"] == install_command("onnxruntime")


def test_output_is_quiet_json_on_stdout_and_progress_on_stderr(cli: Any, trained: Any) -> None:
    done = cli("train", "mnist_cnn", "--json")
    assert done.stdout.startswith("{")
    assert "train mnist_cnn" in done.stderr


def test_a_folder_that_is_named_like_ours_is_not_imported(cli: Any, trained: Any, tmp_path: Path) -> None:
    for name in ("models", "pipelines", "serving"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('a foreign module was imported')")
    (tmp_path / "random.py").write_text("raise SystemExit('a foreign module was imported')")
    slipway = Path(sys.executable).parent / "slipway"
    words = [str(slipway), "--workspace", str(cli.workspace), "loadtest", "mnist_cnn", "onnxruntime:pytorch"]
    command = [*words, "--duration", "1", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


TOKENS = {"empty": b"", "two lines": b"SECRET\nTOKEN", "binary": b"\xff\xfeSECRET"}


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_file_that_holds_none_is_refused_and_never_shown(cli: Any, picture: Path, name: str) -> None:
    token = picture.with_name("token")
    token.write_bytes(TOKENS[name])
    words = ["predict", "torchserve", str(picture), "--url", "http://127.0.0.1:9", "--token-file", str(token)]
    done = cli(*words)
    assert done.returncode == 2
    assert "token" in done.stderr
    assert "SECRET" not in done.stderr
    assert "Traceback" not in done.stderr


READ = {
    "input": ["predict", "litert", "FILE"],
    "token": ["predict", "torchserve", "--from-test-set", "0", "--url", "http://127.0.0.1:9", "--token-file", "FILE"],
    "token of a server that runs": ["predict", "torchserve", "x.png", "--at", "torchserve=http://h:1,token=FILE"],
    "manifest": ["package", "mnist_cnn", "litert", "--expect", "FILE"],
    "body": ["loadtest-url", "http://127.0.0.1:9/", "--rate", "1", "--body", "FILE"],
    "expected answer": ["loadtest-url", "http://127.0.0.1:9/", "--rate", "1", "--expect", "FILE"],
    "token of any server": ["loadtest-url", "http://127.0.0.1:9/", "--rate", "1", "--token-file", "FILE"],
    "trace": ["loadtest-url", "http://127.0.0.1:9/", "--trace", "FILE"],
    "result": ["loadtest-url", "http://127.0.0.1:9/", "--rate", "1", "--compare", "FILE"],
}


@pytest.mark.parametrize("name", READ)
def test_a_file_that_never_ends_is_one_line(cli: Any, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = cli(*(word.replace("FILE", str(tmp_path / "pipe")) for word in READ[name]), timeout_s=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "pipe") in done.stderr


ADDRESSES = (
    "http://127.0.0.1:99999",
    "http://127.0.0.1:abc",
    "http://[::1",
    "http://a..b:80",
    "grpc://:1",
    "http://h:1/x",
)


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_that_is_none(cli: Any, picture: Path, url: str) -> None:
    done = cli("predict", "tf-serving", str(picture), "--url", url)
    assert done.returncode == 2
    assert "http://HOST:PORT or grpc://HOST:PORT. Received: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "answer", ["[]", "3", '{"outputs": [[1, 2, 3]]}', '{"outputs": [[1,2,3,4,5,6,7,8,9,Infinity]]}']
)
def test_an_answer_that_is_none_of_the_models(cli: Any, picture: Path, answer: str) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: Any) -> None:
            return None

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        done = cli("predict", "tf-serving", str(picture), "--url", f"http://127.0.0.1:{server.server_port}")
        thread.join(10)
    assert done.returncode == 1
    assert "refused over tf-serving-rest" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_tolerance_is_a_finite_number(cli: Any, value: str) -> None:
    for command in ("verify", "run"):
        done = cli(command, "mnist_cnn", "litert", "--tolerance", value)
        assert done.returncode == 2
        assert "expected a finite number" in done.stderr


@pytest.mark.parametrize("host", ["nosuch.invalid", "256.1.1.1", "8.8.8.8", ""])
def test_a_host_that_is_not_this_machine(cli: Any, trained: Any, host: str) -> None:
    done = cli("serve", "onnxruntime", "--host", host)
    assert done.returncode == 2
    assert "cannot listen on this host: " in done.stderr
    assert f"Received: {host!r}" in done.stderr


def test_one_port_for_both(cli: Any, trained: Any) -> None:
    done = cli("serve", "onnxruntime", "--rest-port", "18080", "--grpc-port", "18080")
    assert done.returncode == 2
    assert "REST and gRPC need a port each. Received: 18080 for both" in done.stderr


def test_a_reader_who_has_enough_is_no_error(cli: Any) -> None:
    process = cli.start("list")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "slipway:" not in process.stderr.read()
    process.wait(20)
    process.stderr.close()


def test_a_damaged_trained_model_is_trained_again(fresh_cli: Any) -> None:
    fresh_cli.json("train", "mnist_cnn", "--epochs", "1")
    (fresh_cli.workspace / "artifacts" / "mnist_cnn" / "trained" / "how.json").write_bytes(b"{")
    again = fresh_cli("train", "mnist_cnn", "--epochs", "1", "--json")
    assert json.loads(again.stdout)["cached"] is False
    (said,) = [line for line in again.stderr.splitlines() if line.startswith("slipway: ")]
    assert said.endswith("/how.json is not as it was built (sha256 differs): mnist_cnn is trained again")
    assert fresh_cli.json("train", "mnist_cnn", "--epochs", "1")["cached"] is True


def test_a_model_whose_making_is_not_known_any_more_says_so_before_it_is_trained(fresh_cli: Any) -> None:
    fresh_cli.json("train", "mnist_cnn", "--framework", "tensorflow", "--epochs", "1")
    how = fresh_cli.workspace / "artifacts" / "mnist_cnn" / "trained" / "how.json"
    how.write_text("{")
    process = fresh_cli.start("train", "mnist_cnn")
    assert process.stderr is not None
    said = next(line for line in process.stderr if line.startswith("slipway: "))
    process.terminate()
    process.communicate(timeout=60)
    assert said == f"slipway: {how} is not as it was built (sha256 differs): mnist_cnn is trained again, in pytorch\n"


def test_damaged_answers_are_verified_again(cli: Any, trained: Any) -> None:
    (row,) = cli.json("package", "mnist_cnn", "litert:fp16")["artifacts"]
    answers = Path(row["folder"]) / "answers.npz"
    answers.write_bytes(b"PK\x03\x04junk")
    (row,) = cli.json("package", "mnist_cnn", "litert:fp16")["artifacts"]
    assert row["package"] is None
    assert row["verify"] is not None
    assert answers.stat().st_size > 1000

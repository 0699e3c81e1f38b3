"""The claims of the documentation: its commands work, its tables show the measurements, its links lead somewhere."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import COMMANDS, EXAMPLES, PAGES, ROOT, label
from model_files import onnx_files

from pipelines.claims import CLAIMS
from pipelines.loadtest.truth.start import ground_truth
from serving.launch import free_port

CONFORMANCE = "/tmp/conformance"  # noqa: S108 - the folder that the pages name
BEFORE = {
    "slipway advise": "slipway run mnist_cnn litert:fp32 --duration 0.5 --budget 0",
    "slipway report": "slipway run mnist_cnn litert:fp32 --duration 0.5 --budget 0",
    "slipway manifests": "slipway package mnist_cnn onnxruntime:pytorch",
}
"""Maps the start of a command to the command whose result it needs."""
OF_DOCKER = ("--detach", "--profile", "--scale")


def shown(*starts: str, having: str = "", lacking: str = "\0") -> list[str]:
    return [line for line in COMMANDS if line.startswith(starts) and having in line and lacking not in line]


MAKE = shown("make ")
DOCKER = shown("docker ", "TORCHSERVE_REPLICAS=")
CURL = shown("curl ")
SERVERS = shown("python -m serving.tf_serving ")
CONTAINERS = shown("slipway ", having="--container")
SERVE = shown("slipway serve ", lacking="--container")
REMOTE = shown("slipway predict ", having="--url")
LOAD = shown("slipway loadtest-url ")
CALIBRATE = shown("slipway calibrate")
WRITE = shown("slipway conform --write-models")
CONFORM = shown("slipway conform --rest")
WEB = shown("slipway web")
CLAIMS_RUN = shown("slipway claims run")
COPIES = shown("python benchmarks/claims.py")
INSPECT = shown("slipway inspect")
OWN = [line for ending in (".onnx ", ".keras ", ".pt2 ") for line in shown("slipway run ", having=ending)]
ELSEWHERE = [
    *INSPECT,
    *OWN,
    *CONTAINERS,
    *SERVE,
    *REMOTE,
    *LOAD,
    *CALIBRATE,
    *WRITE,
    *CONFORM,
    *WEB,
    *CLAIMS_RUN,
    *COPIES,
]
PLAIN_NAMES = (
    "list",
    "train",
    "package",
    "verify",
    "predict",
    "loadtest",
    "run",
    "report",
    "advise",
    "claims",
    "manifests",
    "clean",
)
BRIEFLY = {
    "slipway loadtest ": ["--duration", "1"],
    "slipway run ": ["--budget", "0"],
}
"""Maps the start of a command to options that shorten it: what it measures is not looked at here."""
PLAIN = [line for name in PLAIN_NAMES for line in shown(f"slipway {name}") if line not in ELSEWHERE]


def run(cli: Any, line: str, **options: Any) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = cli(*shlex.split(line)[1:], **options)
    assert done.returncode == 0, f"{line}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def with_free_ports(*lines: str) -> list[str]:
    """The lines with free ports instead of their own; the same ones in every line."""
    ports: defaultdict[str, int] = defaultdict(free_port)
    return [re.sub(r"(?<=[ :=])\d{4}\b", lambda found: str(ports[found[0]]), line) for line in lines]


def test_every_command_that_a_page_shows_is_in_one_tested_list() -> None:
    assert sorted([*MAKE, *DOCKER, *CURL, *SERVERS, *ELSEWHERE, *PLAIN]) == sorted(COMMANDS)


def test_make_has_the_targets_and_demo_is_the_main_job() -> None:
    assert {"make demo", "make test"} <= set(MAKE)
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{line.removeprefix('make ')}: " in makefile for line in MAKE)
    assert "\ndemo: $(READY)\n\t$(BIN)/slipway run mnist_cnn\n" in makefile
    assert "\ntest: lint\n\t$(BIN)/python -m pytest " in makefile


@pytest.mark.parametrize("line", DOCKER)
def test_the_tests_of_containers_run_it(line: str) -> None:
    """They take the command from the page by `documented`, which fails if no page shows it, and all curl lines."""
    tests = "".join(file.read_text() for file in (ROOT / "tests" / "containers").glob("*.py"))
    assert f'"{line}"' in tests


@pytest.mark.parametrize("line", PLAIN)
def test_a_command_works(cli: Any, trained: Any, line: str) -> None:
    for start, before in BEFORE.items():
        if line.startswith(start):
            run(cli, before)
    short = [option for start, options in BRIEFLY.items() if line.startswith(start) for option in options]
    assert run(cli, " ".join([line, *short])).stdout


@pytest.mark.parametrize("line", OWN)
def test_the_tests_of_users_files_run_it(line: str) -> None:
    """They take the command from the page by `documented`, which fails if no page shows it, or are its examples."""
    examples = [command for _, command in EXAMPLES.values()]
    tests = (ROOT / "tests" / "pipelines" / "run" / "own" / "test_own_files.py").read_text()
    assert line in examples or f'"{line}"' in tests


@pytest.mark.parametrize("line", INSPECT)
def test_a_file_is_inspected(cli: Any, tmp_path: Path, line: str) -> None:
    onnx_files(tmp_path)[0].rename(tmp_path / "model.onnx")
    assert "Gather" in run(cli, line, cwd=tmp_path).stdout


def test_a_server_and_its_requests_work(cli: Any, trained: Any) -> None:
    requests = [line for line in CURL if ":8501/" in line]
    serve, *asking = with_free_ports(*SERVE, *REMOTE, *requests)
    process = cli.start(*shlex.split(serve)[1:])
    try:
        assert process.stdout is not None
        assert "Ctrl-C stops it" in process.stdout.readline()
        for line in asking[: len(REMOTE)]:
            assert "(truth: " in run(cli, line).stdout
        for line in asking[len(REMOTE) :]:
            done = subprocess.run(shlex.split(line), cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
            assert label(done.stdout) == 7
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("line", WEB)
def test_the_page_opens(cli: Any, trained: Any, line: str) -> None:
    process = cli.start(*shlex.split(line)[1:])
    try:
        assert "Ctrl-C stops it" in process.stdout.readline()
        with urllib.request.urlopen(process.stdout.readline().strip(), timeout=60) as page:
            assert b"<title>slipway: " in page.read()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_the_requests_hold_the_first_row_of_the_test_data(trained: Any) -> None:
    from PIL import Image

    evaluation = trained.evaluation()
    row = evaluation.inputs["image"][0]
    assert evaluation.labels[0] == 7
    encoded = json.loads((ROOT / "docs/requests/tf-serving.json").read_text())["instances"][0]["b64"]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
    assert np.array_equal(picture, np.rint(row * 255))
    (tensor,) = json.loads((ROOT / "docs/requests/open-inference.json").read_text())["inputs"]
    assert np.allclose(np.reshape(tensor["data"], tensor["shape"])[0], row, atol=5e-4)


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_the_commands_for_containers_work(
    cli: Any, trained: Any, built_image: Callable[[str], str], no_container_left: Any
) -> None:
    environment = {**os.environ, "OPEN_INFERENCE_IMAGE": built_image("open_inference")}
    serve, measure = with_free_ports(*CONTAINERS)
    assert "What a container costs" in run(cli, f"{measure} --duration 1 --budget 0", env=environment).stdout
    process = cli.start(*shlex.split(serve)[1:], env=environment)
    try:
        assert process.stdout is not None
        assert "Ctrl-C stops it" in process.stdout.readline()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("line", LOAD)
def test_a_load_test_works(cli: Any, tmp_path: Path, line: str) -> None:
    """Against the server with known latencies. A busy machine may make the result invalid, but no answer wrong."""
    (tmp_path / "requests").mkdir()
    for name in ("request.json", "requests/1.json", "requests/2.json"):
        (tmp_path / name).write_text("{}")
    short = ["--budget", "15"] if "--find-rate" in line else ["--duration", "1"]
    with ground_truth("grpc" if "grpc://" in line else "http") as server:
        words = [re.sub(r"^(http|grpc)://.*", f"{server.url}/serial/1", word) for word in shlex.split(line)[1:]]
        done = cli(*words, *short, cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    if "--json" in words:
        found = json.loads(done.stdout)
        assert (found["load"]["errors"], found["match_share"]) == (0, 1.0)
        assert done.returncode == 0 or set(found["invalid_causes"]) <= {"machine", "server"}
    elif "--find-rate" in words:
        assert re.search(
            r"^p99 <= 20 ms up to [\d.,]+ requests/s|^no rate with p99 <= 20 ms was found: ", done.stdout, re.M
        )
    else:
        assert ", 0 errors, 100.00% of " in done.stdout


@pytest.mark.parametrize("line", CALIBRATE)
def test_a_calibration_works(cli: Any, line: str) -> None:
    """A machine may be too noisy for it: then the exit code, the last line and the checks agree."""
    done = cli(*shlex.split(line)[1:])
    *checks, verdict = done.stdout.splitlines()
    passed = [check.startswith("pass") for check in checks]
    assert len(passed) == 20
    assert (done.returncode, verdict.split(":")[0]) == (
        (0, "calibration passed") if all(passed) else (1, "calibration failed")
    )


CHEAP = "D5"
"""A claim that needs no measurement: it is not testable here."""


@pytest.mark.parametrize("line", CLAIMS_RUN)
def test_measuring_claims_works(fresh_cli: Any, line: str) -> None:
    """With one claim in the place of those that the page names: all of them take the better part of an hour."""
    words = shlex.split(line)[1:]
    named = [word for word in words[2:] if not word.startswith("-")]
    assert all(word in CLAIMS for word in named)
    (found,) = fresh_cli.json(*(word for word in words if word not in named), CHEAP)
    assert (found["id"], found["outcome"]) == (CHEAP, "not testable here")


@pytest.mark.parametrize("line", COPIES)
def test_the_copy_of_the_ledger_is_one_of_every_claim(fresh_cli: Any, line: str, tmp_path: Path) -> None:
    """The script runs as the page says, and writes into a folder of the test's own."""
    fresh_cli.json("claims", "report")
    script = tmp_path / Path(shlex.split(line)[1]).name
    script.write_text((ROOT / shlex.split(line)[1]).read_text())
    (tmp_path / "results").mkdir()
    command = [sys.executable, str(script), "--workspace", str(fresh_cli.workspace)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
    copied = json.loads((tmp_path / "results" / "claims.json").read_text())
    assert [claim["id"] for claim in copied["claims"]] == list(CLAIMS)
    assert set(copied["sections"]) == set("12345678")
    first = copied["claims"][0]
    first |= {"outcome": "holds", "number": "2 of 3", "measured": "2026-01-02", "machine": {}}
    (tmp_path / "results" / "claims.json").write_text(json.dumps(copied))
    subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
    again = json.loads((tmp_path / "results" / "claims.json").read_text())["claims"]
    assert (again[0]["before"]["outcome"], again[0]["before"]["number"]) == ("holds", "2 of 3")
    assert [one["before"] for one in again[1:]] == [None] * (len(CLAIMS) - 1)


@pytest.fixture(scope="module")
def conformance(cli: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of the API's cases."""
    folder = tmp_path_factory.mktemp("models") / "conformance"
    (line,) = [line for line in WRITE if "--mounted-at" not in line]
    run(cli, line.replace(CONFORMANCE, str(folder)))
    return folder


@pytest.fixture
def models(conformance: Path, tmp_path: Path) -> Path:
    """One model with the name m, and configuration files that name it."""
    (tmp_path / "m").symlink_to(conformance / "half_plus_two")
    config = f'name: "m" base_path: "{tmp_path / "m"}" model_platform: "tensorflow"'
    (tmp_path / "models.config").write_text(f"model_config_list {{ config {{ {config} }} }}")
    (tmp_path / "monitoring.config").write_text('prometheus_config { enable: true path: "/metrics" }')
    return tmp_path


@pytest.mark.parametrize("line", SERVERS)
def test_a_server_of_the_api_works(cli: Any, conformance: Path, models: Path, line: str) -> None:
    serve, ask = with_free_ports(f"{line} --port=8500", *CONFORM)
    serve = serve.replace(CONFORMANCE, str(conformance)).replace("/models/", f"{models}/")
    name = "half_plus_two" if CONFORMANCE in line else "m"
    port = re.search(r"--rest_api_port=(\d+)", serve)
    assert port is not None
    command = [sys.executable, *shlex.split(serve)[1:]]
    log = models / "log"
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            deadline = time.monotonic() + 120
            while not available(f"http://127.0.0.1:{port[1]}/v1/models/{name}"):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
            if CONFORMANCE in line:
                assert "2 ok, 0 failed" in run(cli, f"{ask} A1 H1").stdout  # test_conform_command.py asks all
        finally:
            process.terminate()
            process.wait(timeout=60)
    assert process.returncode == 0


def available(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return b'"AVAILABLE"' in answer.read()
    except (urllib.error.URLError, ConnectionError):
        return False


def test_the_models_of_the_cases_are_written_for_a_container(cli: Any, tmp_path: Path) -> None:
    (line,) = [line for line in WRITE if "--mounted-at" in line]
    done = run(cli, line.replace(CONFORMANCE, str(tmp_path)))
    assert f"-v {tmp_path}:/conformance:ro" in done.stdout


def test_commands_and_options_in_sentences_exist(cli: Any) -> None:
    whole = cli("--help").stdout
    names = re.findall(r"^  ([a-z-]+) ", whole.partition("Commands:")[2], re.MULTILINE)
    helps = {name: cli(name, "--help").stdout for name in names}
    helps["claims"] += "".join(cli("claims", name, "--help").stdout for name in ("run", "show", "report"))
    servers = "".join(
        subprocess.run([sys.executable, "-m", *words, "--help"], capture_output=True, text=True, check=False).stdout
        for words in (["serving.tf_serving"], ["serving.open_inference", "serve"], ["serving.torchserve", "serve"])
    )
    wrong = []
    for page in PAGES:
        if page.is_relative_to("serving"):  # their options are the servers'
            continue
        prose = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
        for span in re.findall(r"`((?:slipway |--|(?:serve|run|loadtest) --)[^`]*)`", prose):
            words = span.removeprefix("slipway ").split()
            known = helps.get(words[0], "") if words[0][0] != "-" else " ".join([whole, servers, *helps.values()])
            options = [word.partition("=")[0] for word in words if word.startswith("--")]
            if not known or not all(re.search(rf"{one}\b", known) for one in options if one not in OF_DOCKER):
                wrong.append(f"{page}: {span}")
    assert wrong == []


def test_the_tables_show_what_was_measured() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "figures.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    wrong = []
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text()):
        name, _, anchor = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        if name.startswith("http"):
            continue
        if not file.exists() or (anchor and anchor not in anchors(file)):
            wrong.append(target)
    assert wrong == []


def anchors(page: Path) -> list[str]:
    """The names by which a page's headings are linked."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings]


def test_the_readme_is_a_front_page() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150

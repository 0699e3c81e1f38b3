"""What the README claims: its commands work, its tables are what was measured, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.loadtest.truth.start import ground_truth

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
LINES = [line.partition("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
CONTAINERS = [line for line in LINES if "--container" in line]
SERVE = [line for line in LINES if line.startswith("slipway serve") and line not in CONTAINERS]
HOSTS = [line for line in LINES if " --host " in line]  # tests/pipelines/loadtest/test_hosts.py runs it
ALONE = [line for line in LINES if line.startswith(("slipway loadtest --url", "slipway loadtest --self-test"))]
ALONE = [line for line in ALONE if line not in HOSTS]
REMOTE = [line for line in LINES if "--url" in line and line not in (*ALONE, *HOSTS)]
_ELSEWHERE = [*SERVE, *REMOTE, *CONTAINERS, *ALONE, *HOSTS]
PLAIN = [line for line in LINES if line.startswith("slipway") and line not in _ELSEWHERE]


def test_the_two_commands_are_targets_and_demo_is_the_main_job() -> None:
    assert [line for line in LINES if line.startswith("make")] == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    assert "\ndemo: $(READY)\n\t$(BIN)/slipway run mnist_cnn\n" in makefile
    assert "\ntest: lint\n\t$(BIN)/python -m pytest" in makefile


def test_every_line_of_a_block_is_tested_here() -> None:
    assert len(PLAIN) >= 8
    assert sorted(["make demo", "make test", *PLAIN, *_ELSEWHERE]) == sorted(LINES)


@pytest.mark.parametrize("line", PLAIN)
def test_a_command_of_the_readme_works(cli: Any, trained: Any, line: str) -> None:
    done = cli(*shlex.split(line)[1:])
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_served_commands_of_the_readme_work(cli: Any, trained: Any) -> None:
    (serve,) = SERVE
    process = cli.start(*shlex.split(serve)[1:])
    try:
        assert process.stdout is not None
        assert "Ctrl-C stops it" in process.stdout.readline()
        for line in REMOTE:
            done = cli(*shlex.split(line)[1:])
            assert done.returncode == 0, done.stderr
            assert "(truth: " in done.stdout
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_the_commands_for_containers_work(
    cli: Any, trained: Any, built_image: Callable[[str], str], no_container_left: Any
) -> None:
    environment = {**os.environ, "OPEN_INFERENCE_IMAGE": built_image("open_inference")}
    serve, run = CONTAINERS
    done = cli(*shlex.split(run)[1:], env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "What a container costs" in done.stdout
    process = cli.start(*shlex.split(serve)[1:], env=environment)
    try:
        assert process.stdout is not None
        assert "Ctrl-C stops it" in process.stdout.readline()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("line", ALONE)
def test_a_load_test_of_the_readme_works(cli: Any, tmp_path: Path, line: str) -> None:
    """Against a server of ground truth; on a busy machine it may say that its result is not valid."""
    (tmp_path / "requests").mkdir()
    for name in ("request.json", "requests/1.json", "requests/2.json"):
        (tmp_path / name).write_text("{}")
    with ground_truth("grpc" if "grpc://" in line else "http") as server:
        words = [re.sub(r"^(http|grpc)://.*", f"{server.url}/serial/1", word) for word in shlex.split(line)[1:]]
        short = ["--budget", "12"] if "--find-rate" in words else []
        done = cli(*words, *short, cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout
    assert "Traceback" not in done.stderr


def test_the_tables_show_what_was_measured() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "figures.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "deploy/kserve/README.md"])
def test_links_lead_to_files(page: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text())
    folder = (ROOT / page).parent
    assert [target for target in targets if not target.startswith("http") and not (folder / target).exists()] == []


def test_the_arrows_of_the_house_hold() -> None:
    wrong = []
    for package, others in (("models", "serving|pipelines"), ("serving", "models|pipelines")):
        for file in (ROOT / package).rglob("*.py"):
            found = re.findall(rf"^\s*(?:from|import) (?:{others})\b.*", file.read_text(), re.MULTILINE)
            wrong += [f"{file.relative_to(ROOT)}: {line.strip()}" for line in found]
    assert wrong == []

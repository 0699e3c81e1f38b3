"""Every failure is one line and, with --json, one object on standard output."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from pipelines.base.errors import MissingExtra, SlipwayError, UserError
from pipelines.commands.base import Commands, command, emit, fail

FAILURES: dict[str, tuple[BaseException, int, str]] = {
    "user": (UserError("no such thing"), 2, "no such thing"),
    "slipway": (SlipwayError("it went wrong"), 1, "it went wrong"),
    "missing": (MissingExtra("not installed: x"), 1, "not installed: x"),
    "interrupt": (KeyboardInterrupt(), 130, "interrupted; everything that was started has been stopped"),
    "disk": (OSError(28, "No space left on device", "/full"), 2, "No space left on device: /full"),
    "usage": (click.UsageError("no such option"), 2, "no such option"),
    "bug": (ValueError("a bug"), 1, "ValueError: a bug"),
}


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Commands that fail, one for each kind, and one that fails after it has printed its object."""
    module = types.ModuleType("pipelines.commands.failing")

    def add(name: str, error: BaseException) -> None:
        def raising(_workspace: Any, as_json: bool) -> None:
            raise error

        setattr(module, name, command(name)(raising))

    for name, (error, _, _) in FAILURES.items():
        add(name, error)

    def late(_workspace: Any, as_json: bool) -> None:
        emit({"result": 1}, as_json, lambda: None)
        fail(SlipwayError("too late"), 1)

    module.late = command("late")(late)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return Commands(table={name: f"failing:{name}" for name in [*FAILURES, "late"]})


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_an_object(group: Commands, name: str) -> None:
    _, code, message = FAILURES[name]
    done = CliRunner().invoke(group, [name, "--json"])
    assert done.exit_code == code
    assert json.loads(done.stdout) == {"error": message}
    assert name == "bug" or message in done.stderr
    without = CliRunner().invoke(group, [name])
    assert (without.exit_code, without.stdout) == (code, "")


def test_there_is_one_object_only(group: Commands) -> None:
    done = CliRunner().invoke(group, ["late", "--json"])
    assert (done.exit_code, json.loads(done.stdout), done.stderr) == (1, {"result": 1}, "slipway: too late\n")


@pytest.mark.parametrize(
    "words",
    [
        ["pakage"],
        ["train", "mnist_cnn", "--epochs", "0"],
        ["predict", "litert", "/nowhere.png"],
        ["--nonsense", "list"],
    ],
)
def test_so_are_mistakes_on_the_command_line(cli: Any, words: list[str]) -> None:
    assert cli.json(*words, code=2).keys() == {"error"}


BLOCKED = """
import signal
print("importing", flush=True)
while True:
    signal.pause()
"""


def test_an_interrupt_while_modules_are_imported_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(BLOCKED)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    for program in ([str(Path(sys.executable).parent / "slipway")], [sys.executable, "-m", "pipelines"]):
        process = subprocess.Popen(
            [*program, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (-signal.SIGINT, "")


def test_an_interrupt_of_a_command_is_one_line(cli: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "digit.npy", np.zeros((28, 28), np.float32))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = cli.start("predict", "tf-serving", str(tmp_path / "digit.npy"), "--url", address)
        connection, _ = listener.accept()  # now it waits for an answer
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        connection.close()
    assert process.returncode == 130
    assert errors == "slipway: interrupted; everything that was started has been stopped\n"

"""The examples of docs/your-model.md: each block of Python makes a file, and the command below it takes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from documents import EXAMPLES

from pipelines.base.environments import Environment, kept_here, make
from pipelines.claims.experiments.ecosystem.bert import ENVIRONMENT

NEEDED = {"bert.pt2": ENVIRONMENT, "iris.onnx": Environment("skl2onnx", ("skl2onnx==1.20.0",))}
"""Maps an example to the libraries that it imports besides slipway's own."""


def test_every_kind_of_example_is_there() -> None:
    assert set(EXAMPLES) == {"flowers.keras", *NEEDED}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_taken_through_its_paths(cli: Any, tmp_path: Path, name: str) -> None:
    code, line = EXAMPLES[name]
    words = line.split()[1:]
    overlay = {"PYTHONPATH": str(make(NEEDED[name], kept_here()))} if name in NEEDED else {}
    command, env = [sys.executable, "-c", code], {**os.environ, **overlay}
    made = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert made.returncode == 0, made.stderr
    given = [str(tmp_path / name) if word == name else word for word in words]
    report = cli.json(*given, "--duration", "0.5", "--budget", "0", "--scenario", "single-stream")
    assert {row["path"]: row["status"] for row in report["artifacts"]} == {
        word.partition(":")[0]: "ok" for word in words[2:]
    }

"""Fixtures of the page's tests: the page of one server, and a client that has its token."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.artifacts import reference
from pipelines.stages.answers import REFERENCE

# Tests are no packages (importlib mode): this is how they find the modules that they share.
sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parent.parent / "report"))

from web_client import Visitor


@pytest.fixture(scope="module")
def web_process(cli: Any, trained: Any) -> Iterator[subprocess.Popen[str]]:
    """The page of ONNX Runtime's server, as a user starts it; ``address`` is what it prints."""
    process = cli.start("web", "mnist_cnn", "--serve", "onnxruntime", "--json")
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        process.address = json.loads(line)["address"]
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


@pytest.fixture(scope="module")
def visitor(web_process: Any) -> Visitor:
    """A visitor who opened the address."""
    return Visitor(web_process.address)


@pytest.fixture
def turned_seven(trained: Any, tmp_path: Path) -> Path:
    """A photograph of a seven that lies on its side, which its EXIF data says."""
    row = reference.read(trained.weights.parent / REFERENCE).inputs[reference.EVALUATION]["image"][0]
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "turned.jpg"
    Image.fromarray(np.rot90(np.rint(row * 255).astype(np.uint8))).save(file, exif=exif, quality=95)
    return file

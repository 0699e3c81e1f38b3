"""Fixtures that the whole suite shares; what is slow is made once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models import trained as trained_models
from models.trained import TrainedModel

TRAIN = """
import sys
from pathlib import Path
from models.trained import train
train("mnist_cnn", "pytorch", Path(sys.argv[1]), print)
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """mnist_cnn, trained as the product trains it, in a process of its own (about 20 s)."""
    folder = tmp_path_factory.mktemp("trained")
    subprocess.run([sys.executable, "-c", TRAIN, str(folder)], check=True, capture_output=True, timeout=240)
    return trained_models.load(folder)

"""Keras and TensorFlow start without libraries that only other paths need; everybody else has them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FOUND = """
import sys
from serving.lean import LOOKED_FOR, import_lean
import_lean()
import keras
print(*sorted(LOOKED_FOR & set(sys.modules)))
"""
OTHERS = """
import pandas, sklearn
exec("import matplotlib", {})
print(keras.ops.convert_to_numpy(keras.Sequential([keras.layers.Dense(1)])(keras.ops.ones((1, 3)))).shape)
"""


def said_by(program: str, **variables: str) -> list[str]:
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, **variables})
    return done.stdout.splitlines()


def test_they_do_without_and_others_have_them() -> None:
    assert said_by(FOUND + OTHERS) == ["", "(1, 1)"]


def test_without_it_they_take_what_they_find() -> None:
    """Compare the list with what they import by themselves: if that changes, the list has to."""
    assert said_by(FOUND.replace("\nimport_lean()", "")) == ["jax matplotlib pandas sklearn"]


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_another_backend_of_keras_works(backend: str) -> None:
    (found,) = said_by(FOUND, KERAS_BACKEND=backend)
    assert ("jax" in found) == (backend == "jax")

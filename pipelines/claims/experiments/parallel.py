"""Trains one net in one process and in two at once, in every way that the article names: weights, lines, seconds.

The answer of :func:`run`, plain JSON: ``arms`` {arm: rounds}, a round ``wall_s`` (of the slower process) and ``cpu_s``
(of all) of the steps after the warm-up; ``lines`` {script: {single-process script: lines that differ}};
``differences`` {arm: the largest difference of a weight from PyTorch's single process}; ``fit`` what became of ``fit``
with MultiWorkerMirroredStrategy: an error's last words, or None if it trained.
"""

from __future__ import annotations

import difflib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base.errors import SlipwayError
from pipelines.claims.experiments.bench import ChildCall, Effort, Workbench
from pipelines.claims.experiments.launching import (
    SCRIPTS,
    WORKERS,
    cluster,
    complete,
    first_to_fail,
    imported,
    launched,
    run_here,
    script,
    torchrun,
)

REQUIRES = ("torch", "tensorflow", "keras")
SOURCES = ("pipelines.claims.experiments.launching", "pipelines.claims.experiments.scripts")
SIZES = {Effort.TINY: (8, 32, 32), Effort.QUICK: (12, 512, 256), Effort.FULL: (20, 1024, 512)}
"""Steps, width and batch. With the larger, a step is some tens of milliseconds: what two processes say to each other
(6 MB a step) is small beside it."""
ROUNDS = {Effort.TINY: 1, Effort.QUICK: 1, Effort.FULL: 5}
TOLERANCE = 1e-4
"""The largest difference of a weight that counts as equal: sums of float32 in another order. Seen: 2e-7 to 2e-6."""
ARMS = {
    "torch": "torch_single",
    "torch again": "torch_single",
    "ddp": "torch_ddp",
    "keras": "keras_single",
    "keras again": "keras_single",
    "mirrored": "keras_mirrored",
    "keras loop": "keras_loop",
    "multiworker": "keras_loop_multiworker",
}
IN_TWO = ("ddp", "multiworker")
"""The arms that train in two processes."""
TINY = ("torch", "ddp", "mirrored")
"""The arms of the form for tests: a start of TensorFlow takes seconds."""
COMPARED = {
    "torch_ddp": ("torch_single",),
    "keras_mirrored": ("keras_single",),
    "keras_multiworker": ("keras_single",),
    "keras_loop_multiworker": ("keras_single", "keras_loop"),
}
TIMEOUT_S = 120.0


def run(bench: Workbench) -> dict[str, Any]:
    """Measure all of it. Raises SlipwayError if a way of training ends with other weights."""
    arms = [arm for arm in ARMS if bench.effort > Effort.TINY or arm in TINY]
    words, reference = list(SIZES[bench.effort]), bench.folder / "reference.npz"
    bench.run(_job(arm="torch", words=words, write=str(reference)))
    jobs = {arm: _job(arm=arm, words=words, reference=str(reference)) for arm in arms}
    found = bench.interleaved("parallel", jobs, ROUNDS[bench.effort])
    difference = {arm: max(one["difference"] for one in found[arm]) for arm in arms}
    unequal = {arm: value for arm, value in difference.items() if not value <= TOLERANCE}
    if unequal:
        raise SlipwayError(f"these were to end with the weights of the single process, and did not: {unequal}")
    few = {"words": SIZES[Effort.TINY]}
    fit = bench.run(ChildCall("pipelines.claims.experiments.parallel:fit_of_many", few, timeout_s=2 * TIMEOUT_S))
    keep = ("wall_s", "cpu_s", "steps")
    return {
        "arms": {arm: [{name: one[name] for name in keep} for one in rounds] for arm, rounds in found.items()},
        "differences": difference,
        "lines": {name: {base: changed(base, name) for base in bases} for name, bases in COMPARED.items()},
        "fit": fit.value,
    }


def _job(arm: str, **request: Any) -> ChildCall:
    here = "pipelines.claims.experiments.parallel:train"
    begun = () if arm in IN_TWO else imported(ARMS[arm])
    return ChildCall(here, {"arm": arm, **request}, timeout_s=2 * TIMEOUT_S, imported=begun)


def train(arm: str, words: list[int], reference: str | None = None, write: str | None = None) -> dict[str, Any]:
    """Run the script of an arm, in this process if it takes one; return its times, and how its weights differ.

    ``write`` is where its weights are kept as the reference.
    """
    name = ARMS[arm]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if arm not in IN_TWO:
            run_here(name, folder, *words)
        elif arm == "ddp":
            complete(torchrun(name, folder, *words), folder / "log", [{}], TIMEOUT_S)
        else:
            complete(script(name, folder, *words), folder / "log", cluster(), TIMEOUT_S)
        ranks = sorted(folder.glob("[0-9].json"))
        if len(ranks) != (WORKERS if arm in IN_TWO else 1):
            raise SlipwayError(f"{arm}: {len(ranks)} processes answered")
        answers = [json.loads(file.read_text()) for file in ranks]
        weights = [file.with_suffix(".npz") for file in ranks]
        if write is not None:
            shutil.copy(weights[0], write)
        difference = 0.0 if reference is None else max(difference_of(file, Path(reference)) for file in weights)
    return {
        "wall_s": max(one["wall_s"] for one in answers),
        "cpu_s": sum(one["cpu_s"] for one in answers),
        "steps": answers[0]["steps"],
        "difference": difference,
    }


def difference_of(one: Path, other: Path) -> float:
    """Return the largest difference of a weight in two files; infinity if their shapes differ or one is not finite."""
    with np.load(one) as left, np.load(other) as right:
        if [left[name].shape for name in left.files] != [right[name].shape for name in right.files]:
            return float("inf")
        largest = max(float(np.abs(left[name] - right[name]).max()) for name in left.files)
    return largest if np.isfinite(largest) else float("inf")


def fit_of_many(words: list[int]) -> str | None:
    """Train by ``fit`` with MultiWorkerMirroredStrategy; return the last words of its error, None if it trained."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        log = folder / "log"
        with launched(script("keras_multiworker", folder, *words), log, cluster()) as running:
            codes = first_to_fail(running, TIMEOUT_S)
        if not any(codes):
            return None
        said = [log.with_suffix(f".{rank}.log").read_text() for rank, code in enumerate(codes) if code]
    return next((_error(text) for text in said if _error(text)), f"exit codes {codes}")


def _error(text: str) -> str:
    """Return the line that names the exception, and the last line, shortened."""
    lines = [line for line in text.splitlines() if line.strip()]
    named = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception"))]
    return f"{named[-1][:200]} … {lines[-1][-160:]}" if named else ""


def changed(base: str, other: str) -> int:
    """Count the lines of code in which a script differs from another: comments and empty lines do not count."""
    return changed_lines(*((SCRIPTS / f"{name}.py").read_text() for name in (base, other)))


def changed_lines(base: str, other: str) -> int:
    """Count added, changed and removed lines; a line that only moved inwards (a ``with`` around it) has not changed."""
    code = [[line.strip() for line in _without_docstring(text) if line.strip()] for text in (base, other)]
    matcher = difflib.SequenceMatcher(None, code[0], code[1], autojunk=False)
    return sum(max(b - a, d - c) for kind, a, b, c, d in matcher.get_opcodes() if kind != "equal")


def _without_docstring(text: str) -> list[str]:
    lines = [line.partition("  #")[0] for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line for line in lines if not (line.strip().startswith('"""') and line.strip().endswith('"""'))]

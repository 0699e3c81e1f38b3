"""Measures one arm in its process: what each network's step and predictions cost, and what they computed."""

from __future__ import annotations

import importlib
import itertools
import resource
import statistics as plain
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.claims.experiments.nets import shapes
from pipelines.stages.child import IMPORTED_WITH

NETS = "pipelines.claims.experiments.nets"
WARM, BLOCKS = 4, 3
"""Steps before the clock starts, and blocks of steps that are timed."""
ANSWER = 40
"""How many numbers of an answer are compared."""
DEPRECATIONS = (DeprecationWarning, FutureWarning, PendingDeprecationWarning)
DISTRIBUTIONS = ("keras", "tensorflow", "torch")


def measure_arm(
    arm: str, nets: Mapping[str, Sequence[str]], budget_s: float, seed: int, cache: str | None
) -> dict[str, Any]:
    """Measure one arm in this process: ``nets`` maps a network to the predictions that it is to make."""
    cold = cache is None or not any(Path(cache).iterdir())
    cells: dict[str, Any] = {}
    with heard() as warned:
        arms = arms_of(arm)
        arms.start(cache)
        for net, calls in nets.items():
            trial = arms.trial(arm, net, shapes.BATCH, calls, seed)
            for name, call in trial.calls.items():
                trial.reset()
                cells[f"{name} {net}"] = _called(call, budget_s)
            trial.reset()
            cells[f"train {net}"] = _trained(trial, budget_s)
        return {"cells": cells, "cold": cold, "eager": arms.eager(), **arms.counted(), "warnings": warned()}


def arms_of(arm: str) -> Any:
    """Return the module that runs networks in an arm."""
    return importlib.import_module(f"{NETS}.{'torch' if arm.startswith('torch') else 'keras'}_arms")


def imported(arm: str) -> tuple[str, ...]:
    """Name the modules that a process of an arm begins with."""
    return ("torch", "torch._dynamo") if arm.startswith("torch") else ("tensorflow", "keras")


def _called(call: Callable[[], Any], budget_s: float) -> dict[str, Any]:
    answers: list[Any] = []
    figures = _timed(call, budget_s, lambda _, answer: answers.append(answer))
    return figures | {"answer": np.asarray(answers[0]).ravel()[:ANSWER].tolist()}


def _trained(trial: shapes.StepTrial, budget_s: float) -> dict[str, Any]:
    before = {name: np.array(array) for name, array in trial.weights().items()}
    prints = []

    def look(number: int, _: Any) -> None:
        if number in (0, WARM - 1):
            prints.append(shapes.fingerprint(before, trial.weights()))

    numbers = itertools.count()
    return _timed(lambda: trial.step(next(numbers)), budget_s, look) | {"prints": prints}


def _timed(call: Callable[[], Any], budget_s: float, look: Callable[[int, Any], None]) -> dict[str, float]:
    """Time a call: CPU and wall seconds of one, those of the first, and the last block's time over the first's.

    ``look`` is shown the result of each call before the clock starts.
    """
    once = [0.0] * WARM
    for number in range(WARM):
        begin = _cpu_s()
        result = call()
        once[number] = _cpu_s() - begin
        look(number, result)
    size = max(1, round(budget_s / BLOCKS / min(once)))
    blocks = [_block(call, size) for _ in range(BLOCKS)]
    cpu, wall = (plain.median(column) for column in zip(*blocks, strict=True))
    return {"cpu": cpu, "wall": wall, "first": once[0], "drift": blocks[-1][0] / blocks[0][0]}


def _block(call: Callable[[], Any], size: int) -> tuple[float, float]:
    begin, begin_cpu = time.perf_counter(), time.process_time()
    for _ in range(size):
        call()
    return (time.process_time() - begin_cpu) / size, (time.perf_counter() - begin) / size


def _cpu_s() -> float:
    """Return the CPU seconds of this process and of those that it waited for, such as a C++ compiler."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@contextmanager
def heard() -> Iterator[Callable[[], list[str]]]:
    """Collect deprecations, those of the imports too, as ``distribution version: text``.

    The block gets a function that returns them.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        for kind in DEPRECATIONS:
            warnings.simplefilter("always", kind)
        yield lambda: sorted({text for one in (*IMPORTED_WITH, *caught) if (text := _told(one)) is not None})


def _told(one: warnings.WarningMessage) -> str | None:
    """Say who warned of a deprecation; None for other warnings, and for what a measured distribution does not say."""
    if not issubclass(one.category, DEPRECATIONS):
        return None
    name = one.filename.partition("site-packages/")[2].partition("/")[0]
    return f"{name} {version(name)}: {str(one.message).splitlines()[0]}" if name in DISTRIBUTIONS else None

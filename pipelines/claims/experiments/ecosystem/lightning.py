"""Trains by Lightning, by a plain loop and by Keras: lines of code, seconds a step, equal weights."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import tokenize
from pathlib import Path
from typing import Any

from pipelines.base.environments import Environment
from pipelines.base.errors import SlipwayError
from pipelines.claims.experiments.bench import ChildCall, Effort, Workbench
from pipelines.claims.experiments.launching import SCRIPTS, imported, run_here
from pipelines.claims.experiments.parallel import TOLERANCE, difference_of

ENVIRONMENT = Environment(
    "lightning", ("pytorch-lightning==2.6.6", "lightning-utilities==0.15.3", "torchmetrics==1.9.0")
)
SIZES = {Effort.TINY: (30, 16, 16), Effort.QUICK: (1_500, 16, 16), Effort.FULL: (1_500, 16, 16)}
"""Steps, width and batch: hardly any arithmetic, since what a trainer adds to a step does not depend on it."""
FULL_SIZE = (12, 16, 16)
"""Of the trainings with validation: batches of an epoch, width and batch."""
ROUNDS = {Effort.TINY: 1, Effort.QUICK: 1, Effort.FULL: 5}
ARMS = {
    "plain": "torch_single",
    "plain again": "torch_single",
    "lightning": "loops/lightning_bare",
    "keras": "keras_single",
}
TIMEOUT_S = 120.0
OF_KERAS = 1e-2
"""The same for Keras: another framework rounds its sums otherwise, and over 1,500 steps that adds up (seen: 8e-5). The
experiment on training in parallel compares the two over 20."""


def measure(bench: Workbench) -> dict[str, Any]:
    """Return, plain JSON, ``arms`` {arm: [CPU seconds a step]}, ``lines`` {script: lines of code}, ``differences``.

    Raises SlipwayError if Lightning's weights are not the plain loop's.
    """
    reference = bench.folder / "reference.npz"
    words = list(SIZES[bench.effort])
    bench.run(_job("torch_single", words, write=str(reference)))
    arms = {arm: name for arm, name in ARMS.items() if bench.effort is Effort.FULL or arm in ("plain", "lightning")}
    jobs = {arm: _job(name, words, reference=str(reference)) for arm, name in arms.items()}
    found = bench.interleaved("lightning", jobs, ROUNDS[bench.effort])
    best = bench.folder / "best.npz"
    bench.run(_job("loops/torch_full", list(FULL_SIZE), write=str(best)))
    full = bench.run(_job("loops/lightning_full", list(FULL_SIZE), reference=str(best))).value
    differences = {arm: max(one["difference"] for one in rounds) for arm, rounds in found.items()}
    differences["with validation"] = full["difference"]
    limits = {"keras": OF_KERAS}
    unequal = {arm: value for arm, value in differences.items() if not value <= limits.get(arm, TOLERANCE)}
    if unequal:
        raise SlipwayError(f"these were to end with the weights of the plain loop, and did not: {unequal}")
    names = [
        "torch_single",
        "keras_single",
        *(f"loops/{name}" for name in ("lightning_bare", "torch_full", "lightning_full")),
    ]
    return {
        "arms": {arm: [one["cpu_s"] / one["steps"] for one in rounds] for arm, rounds in found.items()},
        "lines": {name.rpartition("/")[2]: code_lines((SCRIPTS / f"{name}.py").read_text()) for name in names},
        "differences": differences,
    }


def _job(name: str, words: list[int], **request: Any) -> ChildCall:
    here = "pipelines.claims.experiments.ecosystem.lightning:train"
    return ChildCall(
        here,
        {"name": name, "words": words, **request},
        ENVIRONMENT if "lightning" in name else None,
        timeout_s=2 * TIMEOUT_S,
        imported=imported(name),
    )


def train(name: str, words: list[int], reference: str | None = None, write: str | None = None) -> dict[str, Any]:
    """Run a script; return its CPU seconds after the warm-up, its steps, and how its weights differ."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run_here(name, folder, *words)
        weights, times = folder / "0.npz", folder / "0.json"
        if write is not None:
            shutil.copy(weights, write)
        answer = json.loads(times.read_text()) if times.exists() else {}
        return {**answer, "difference": 0.0 if reference is None else difference_of(weights, Path(reference))}


def code_lines(text: str) -> int:
    """Count the lines on which code stands: no imports, docstrings, comments, decorations or empty lines."""
    found: set[int] = set()
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            continue
        if token.type != tokenize.NEWLINE:
            statement.append(token)
            continue
        said = statement[0].type == tokenize.STRING or statement[0].string in ("import", "from")
        found |= set() if said else {one.start[0] for one in statement}
        statement = []
    return len(found)

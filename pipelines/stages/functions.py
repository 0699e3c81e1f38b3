"""The stages that run in a worker's process. Arguments and results are plain JSON data."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from models import trained
from pipelines.artifacts import reference, store
from pipelines.artifacts.artifact import write_certificate
from pipelines.artifacts.parity import Probe, certify, compare, merge
from pipelines.loadtest.conditions import cpu_ticks, governor, steal_share
from pipelines.loadtest.repeat import until_valid
from pipelines.loadtest.settings import OFFLINE_BATCH, LoadSettings
from pipelines.paths import Predict, path_module, tolerance_for
from pipelines.results import Flip, Parity, Scenario
from pipelines.stages.answers import ANSWER_ROWS, ANSWERS, REFERENCE, Answers, parts_of

Check = Callable[[int, dict[str, np.ndarray]], bool]


def train(model: str, framework: str, folder: str, epochs: int | None) -> dict[str, Any]:
    """Train into ``folder``; returns the content of training.json."""
    result = trained.train(model, framework, Path(folder), lambda epoch: print(epoch, flush=True), epochs)
    return asdict(result)


def refer(folder: str) -> None:
    """Compute the reference's answers beside the weights in ``folder``."""
    reference.compute(trained.load(Path(folder)), Path(folder) / REFERENCE)


def package(path: str, variant: str, model: str, folder: str) -> None:
    """Write the payload of one variant; ``model`` is the folder of the trained model."""
    path_module(path).package(trained.load(Path(model)), Path(folder), variant)


def verify(
    path: str,
    variant: str,
    payload: str,
    artifact_sha256: str,
    basis_sha256: str,
    model: str,
    out: str,
    atol: float | None,
) -> dict[str, Any]:
    """Compare an artifact with the reference; writes certificate.json and answers.npz into ``out``."""
    module = path_module(path)
    predict = module.load(Path(payload), 1)
    answers = reference.read(Path(model) / REFERENCE)
    checks: list[Parity] = []
    flips: list[Flip] = []
    right = wrong = 0
    for probe in answers.probes():
        received = predict(probe.inputs)
        check, changed = compare(probe, received)
        checks.append(check)
        flips += changed
        if probe.batch == reference.EVALUATION_BATCH:
            hits = _hits(probe, received, answers.labels)
            right, wrong = right + hits, wrong + probe.batch - hits
    answers_file = Path(out) / ANSWERS
    _save_answers(predict, answers.inputs["evaluation"], answers_file)
    weights = trained.load(Path(model))
    certificate = certify(
        artifact_sha256=artifact_sha256,
        basis_sha256=basis_sha256,
        reference=f"{weights.framework}, eager, fp32, weights sha256 {weights.sha256[:12]}",
        answers_sha256=store.hash_tree(answers_file),
        tolerance=tolerance_for(path, variant, atol),
        from_user=atol is not None,
        checks=merge(checks),
        flips=list(dict.fromkeys(flips)),
        accuracy=right / (right + wrong),
        reference_accuracy=_accuracy(answers),
    )
    write_certificate(Path(out), certificate)
    return asdict(certificate)


def _hits(probe: Probe, received: dict[str, np.ndarray], labels: np.ndarray) -> int:
    scores = next(iter(received.values()))
    return int((scores.argmax(1) == labels[probe.first : probe.first + probe.batch]).sum())


def _accuracy(answers: reference.Reference) -> float:
    scores = next(iter(answers.outputs["evaluation"].values()))
    return float((scores.argmax(1) == answers.labels).mean())


def _save_answers(predict: Predict, inputs: dict[str, np.ndarray], path: Path) -> None:
    """This artifact's own answers to the first evaluation rows, one by one and in batches."""
    rows = {name: array[:ANSWER_ROWS] for name, array in inputs.items()}
    arrays = {f"inputs/{name}": array for name, array in rows.items()}
    for batch in (1, OFFLINE_BATCH):
        parts = [predict({name: array[part] for name, array in rows.items()}) for part in parts_of(batch)]
        arrays |= {f"outputs/{batch}/{name}": np.concatenate([part[name] for part in parts]) for name in parts[0]}
    reference.save_arrays(path, arrays)


def measure(path: str, payload: str, answers: str, settings: list[dict[str, Any]], threads: int) -> dict[str, Any]:
    """Load an artifact, answer once, then the load scenarios, all in this process."""
    import psutil

    from pipelines.fairness.observe import observed
    from pipelines.stages.in_process import measure_in_process

    predict = path_module(path).load(Path(payload), threads)
    known = Answers(Path(answers))
    predict(known.inputs(1)[0])
    this = psutil.Process()
    # Both are wall clocks of the same machine: from the start of this process to its first answer.
    cold_start_s = time.time() - this.create_time()
    scenarios = []
    for values in settings:
        chosen = LoadSettings(**values)

        def check(index: int, received: dict[str, np.ndarray], batch: int = chosen.batch) -> bool:
            return known.matches(batch, index, received)

        def once(_: int, chosen: LoadSettings = chosen, check: Check = check) -> Scenario:
            before = cpu_ticks()
            found = observed(
                lambda _: (measure_in_process(predict, known.inputs(chosen.batch), check, chosen), None),
                [this],
                run=os.getppid(),
            )
            return replace(found, steal_share=steal_share(before, cpu_ticks()), governor=governor())

        scenarios.append(asdict(until_valid(once)))
    return {"cold_start_s": cold_start_s, "scenarios": scenarios}


def predict(path: str, payload: str, inputs: str, outputs: str) -> None:
    """Answer the arrays in the .npz file ``inputs`` into the .npz file ``outputs``."""
    with np.load(inputs, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    reference.save_arrays(Path(outputs), path_module(path).load(Path(payload), 1)(arrays))

"""Defines the stages that run in a worker's process. Arguments and results are plain JSON data."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models import known, trained
from models.model import NoSamples, NotThisForm
from models.published import NotFetched
from models.spec import ModelSpec
from models.training import Epoch
from pipelines.artifacts import reference, store
from pipelines.artifacts.artifact import write_certificate
from pipelines.artifacts.parity import Compared, certify, compare
from pipelines.artifacts.reference import Reference, rows_of
from pipelines.base.environments import PLACE, make
from pipelines.base.errors import NotPossible, SlipwayError, UserError
from pipelines.loadtest.conditions import governor
from pipelines.loadtest.settings import LoadSettings
from pipelines.paths import Arrays, Predict, path_module, tolerance_for
from pipelines.results import IN_BROWSER, Flip, Scenario
from pipelines.stages.answers import ANSWER_ROWS, ANSWERS, REFERENCE, Answers, by_call, parts_of
from pipelines.stages.worker import PROGRESS
from serving.launch import peak_rss_bytes

Check = Callable[[int, dict[str, np.ndarray]], bool]
PATIENCE_S = 60.0
"""Leaves out rows that no batch size needs, if they would take longer (s). By WebGL on a processor they do."""


def train(model: str, framework: str, folder: str, epochs: int | None) -> dict[str, Any]:
    """Train into ``folder``; returns the content of training.json."""

    def tell(epoch: Epoch) -> None:
        print(
            f"{PROGRESS}epoch {epoch.number} of {epoch.of}: loss {epoch.loss:.4f}, test accuracy {epoch.accuracy:.2%}",
            flush=True,
        )

    result = trained.train(model, framework, Path(folder), tell, epochs)
    return asdict(result)


def fetch(model: str, folder: str) -> dict[str, Any]:
    """Write the published weights of a model into ``folder``; returns the content of training.json."""
    try:
        return asdict(trained.fetch(model, Path(folder)))
    except NotFetched as error:
        raise UserError(str(error)) from error


def refer(folder: str) -> None:
    """Compute the reference's answers beside the weights in ``folder``."""
    reference.compute(known.load(Path(folder)), Path(folder) / REFERENCE)


def provide(path: str, environments: str) -> None:
    """Fetch what a path is packaged with from package registries, unless it is kept in ``environments``."""
    from pipelines.paths.browser.runtimes import fetch_all

    kept, card = Path(environments), path_module(path).CARD
    os.environ[PLACE] = environments
    if card.environment is not None:
        make(card.environment, kept)
    if card.where == IN_BROWSER:
        fetch_all()


def package(
    path: str, variant: str, model: str, folder: str, environments: str, form: str | None = None
) -> dict[str, Any]:
    """Write the payload of one variant, and read what it holds.

    ``model`` is the folder of the trained model, ``form`` the one that a user's file is to be had in.
    Libraries beside slipway's own are kept in ``environments``, unless the environment variable names another folder.
    """
    os.environ.setdefault(PLACE, environments)
    module = path_module(path)
    try:
        module.package(known.load(Path(model), form), Path(folder), variant)
    except NoSamples as error:
        raise NotPossible(str(error)) from error
    except NotThisForm as error:
        raise SlipwayError(str(error)) from error
    return asdict(module.holds(Path(folder)))


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
    weights = known.load(Path(model))
    answers = reference.read(Path(model) / REFERENCE)
    answers_file = Path(out) / ANSWERS
    with path_module(path).open(Path(payload), 1) as session:
        found = compared(session.predict, answers, weights.spec)
        least = weights.spec.offline_batch
        _save_answers(
            session.predict, answers.inputs[answers.best], answers_file, least, least if found.slow else ANSWER_ROWS
        )
    certificate = certify(
        artifact_sha256=artifact_sha256,
        basis_sha256=basis_sha256,
        reference=weights.described,
        answers_sha256=store.hash_tree(answers_file),
        tolerance=tolerance_for(path, variant, weights.spec, atol),
        task=weights.spec.task,
        from_user=atol is not None,
        calls=found.calls,
        flips=found.flips,
        accuracy=found.accuracy,
        reference_accuracy=accuracy_of(answers.outputs.get(reference.EVALUATION), answers, weights.spec),
    )
    write_certificate(Path(out), certificate)
    return asdict(certificate)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The calls of a session beside the reference's, and the accuracy if there is any; ``slow``: not all were asked."""

    calls: list[Compared]
    flips: list[Flip]
    accuracy: float | None
    slow: bool


def compared(predict: Predict, answers: Reference, spec: ModelSpec) -> Comparison:
    """Compare every probe's answer with the reference's.

    What would take longer than PATIENCE_S for the spare rows, at its fastest call's speed, is not asked for them, and
    has no accuracy. Raises ValueError if a shape or a name differs.
    """
    probes = list(answers.probes(spec.max_batch))
    spare_rows = sum(probe.batch for probe in probes if probe.spare)
    row_s, slow = math.inf, None
    calls: list[Compared] = []
    flips: list[Flip] = []
    evaluated: dict[int, np.ndarray] = {}
    for probe in probes:
        if probe.spare and slow is None:
            slow = row_s * spare_rows > PATIENCE_S
        if probe.spare and slow:
            continue
        begin = time.monotonic()
        received = predict(probe.inputs)
        row_s = min(row_s, (time.monotonic() - begin) / probe.batch)
        call, changed = compare(probe, received, spec.task)
        calls.append(call)
        flips += changed
        if probe.set == reference.EVALUATION:
            evaluated |= enumerate(received[spec.outputs[0].name], probe.first)
    whole = evaluated and len(evaluated) == rows_of(answers.inputs[reference.EVALUATION])
    rows = {spec.outputs[0].name: np.stack([evaluated[row] for row in range(len(evaluated))])} if whole else None
    return Comparison(calls, list(dict.fromkeys(flips)), accuracy_of(rows, answers, spec), bool(slow))


def accuracy_of(outputs: dict[str, np.ndarray] | None, answers: Reference, spec: ModelSpec) -> float | None:
    """Return the share of right answers in outputs of the evaluation set; None if its labels do not tell."""
    if outputs is None or answers.labels is None:
        return None
    right = spec.task.right(outputs[spec.outputs[0].name], answers.labels)
    return None if right is None else float(right.mean())


def _save_answers(predict: Predict, inputs: dict[str, np.ndarray], path: Path, batch: int, distinct: int) -> None:
    """Save this artifact's own answers to the first ``distinct`` rows, one by one and in batches.

    Fewer than ANSWER_ROWS rows are repeated, since a load test needs whole batches; nothing is asked twice.
    """
    which = np.arange(ANSWER_ROWS) % min(distinct, rows_of(inputs))
    arrays = {f"inputs/{name}": array[which] for name, array in inputs.items()}
    for size in (1, batch):
        known: dict[tuple[int, ...], Arrays] = {}
        for part in parts_of(size):
            rows = tuple(which[part].tolist())
            if rows not in known:
                known[rows] = predict({name: array[which[part]] for name, array in inputs.items()})
        parts = [known[tuple(which[part].tolist())] for part in parts_of(size)]
        arrays |= {f"outputs/{size}/{name}": np.concatenate([part[name] for part in parts]) for name in parts[0]}
    reference.save_arrays(path, arrays)


def measure(path: str, payload: str, answers: str, settings: list[dict[str, Any]], threads: int) -> dict[str, Any]:
    """Load an artifact, answer once, then run the load scenarios: in this process, or in the page of a browser.

    Returns ``figures`` of the row, and ``scenarios``.
    """
    import psutil

    from pipelines.fairness.disturbed import marked
    from pipelines.fairness.observe import Span, observed
    from pipelines.fairness.processes import Watch
    from pipelines.stages.in_browser import measure_in_browser
    from pipelines.stages.in_process import measure_in_process

    with path_module(path).open(Path(payload), threads) as session:
        known = Answers(Path(answers))
        begin = time.perf_counter()
        session.predict(known.inputs(1)[0])
        first_call_s = time.perf_counter() - begin
        # From the start of this process to its first answer; both clocks are wall clocks of the same machine.
        cold_start_s = time.time() - psutil.Process().create_time()
        processes = [psutil.Process(number) for number in session.processes]
        scenarios = []
        for values in settings:
            chosen = LoadSettings(**values)

            def check(index: int, received: dict[str, np.ndarray], batch: int = chosen.batch) -> bool:
                return known.matches(batch, index, received)

            def load(watch: Watch, chosen: LoadSettings = chosen, check: Check = check) -> tuple[Scenario, Span | None]:
                inputs = known.inputs(chosen.batch)
                if session.page is not None:
                    return measure_in_browser(session.page, inputs, check, chosen, watch)
                return measure_in_process(session.predict, inputs, check, chosen), None

            found = observed(load, processes, run=os.getppid())
            scenarios.append(asdict(marked(replace(found, generator=replace(found.generator, governor=governor())))))
        figures = {
            "cold_start_s": cold_start_s,
            "first_call_s": first_call_s,
            "peak_memory_bytes": sum(peak_rss_bytes(process) for process in processes if process.is_running()),
        }
        if session.page is not None:
            figures |= session.page.figures()
    return {"figures": figures, "scenarios": scenarios}


def predict(path: str, payload: str, inputs: str, outputs: str) -> None:
    """Answer the calls in the .npz file ``inputs``; write the answers to the .npz file ``outputs``: CALL/NAME."""
    with np.load(inputs, allow_pickle=False) as file:
        calls = by_call({key: file[key] for key in file.files})
    with path_module(path).open(Path(payload), 1) as session:
        answers = enumerate(session.predict(arrays) for arrays in calls)
        found = {f"{call}/{name}": array for call, answer in answers for name, array in answer.items()}
    reference.save_arrays(Path(outputs), found)

"""Predictions for a user's inputs: in process, or from a running server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.task import Classes, Vectors, cosine
from models.text import encoder
from pipelines.artifacts import reference
from pipelines.artifacts.named import spec_named, title_of
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import SlipwayError, UserError
from pipelines.base.files import scratch
from pipelines.base.progress import Steps
from pipelines.measure.server import ask, check_outputs
from pipelines.paths.choose import choose_one
from pipelines.run.addresses import among, model_in, parse, protocol_for, read_token
from pipelines.run.inputs import read_input
from pipelines.run.making import ready_artifact
from pipelines.run.prepare import ensure_trained, open_context
from pipelines.run.unusual import unusual
from pipelines.stages.answers import REFERENCE, by_call
from pipelines.stages.worker import run_stage
from serving.clients import ProtocolError, Target
from serving.clients.transport import Unreachable

if TYPE_CHECKING:
    from models.dataset import InputRange
    from models.model import KeptModel
    from models.spec import ModelSpec
    from pipelines.paths.choose import Choice

Named = tuple[str, dict[str, np.ndarray], str | None]
"""What an input is called, its arrays, its true label where known."""


def predict_all(
    workspace: Workspace,
    model: str,
    path: str,
    inputs: Sequence[str],
    rows: Sequence[int],
    url: str | None,
    token_file: Path | None,
    resize: bool,
    top: int,
    at: Sequence[str] = (),
    protocol: str | None = None,
    texts: Sequence[str] = (),
    pairs: Sequence[tuple[str, str]] = (),
) -> list[dict[str, Any]]:
    """Answer each row of input: its name, its most probable labels, the truth where known, a warning where due.

    Of each of the ``pairs`` of texts, the answer is the cosine of their vectors.
    Raises UserError for inputs, addresses or paths that do not fit; SlipwayError when a server refuses.
    """
    choice, spec = choose_one(path), spec_named(workspace, model)
    running = among(parse(at), [path])[0] if at and url is None else None
    token = read_token(token_file) if token_file else None
    if running is not None:
        # The address at which the wanted protocol is spoken, or else the first.
        url = running.urls.get(protocol or "", next(iter(running.urls.values())))
        token = token or running.token()
    if protocol and not url:
        raise UserError(f"--protocol is for a running server. Received: {protocol}. Give --url or --at, too.")
    protocol = protocol_for(choice, url, protocol) if url else None
    if not any((inputs, rows, texts, pairs)):
        raise UserError("nothing to predict. Name a picture, an .npy file or -, or use --from-test-set N or --text.")
    takes_texts = spec.text is not None or spec.raw_text is not None
    if (texts or pairs) and (not takes_texts or (pairs and not isinstance(spec.task, Vectors))):
        raise UserError(
            f"{model} takes no texts{' to compare' if takes_texts else ''}. Received: {[*texts, *pairs][0]!r}"
        )
    loaded: KeptModel | None = None
    if rows or takes_texts:
        loaded = model_in(workspace, model)[0] if running is not None else _trained(workspace, model)
    encode = encoder(loaded) if loaded else None
    named: list[Named] = [(source, read_input(source, spec, resize, encode), None) for source in inputs]
    if loaded is not None:
        named += _rows_of(loaded, rows)
    if encode is not None:
        named += [(text, encode([text]), None) for text in texts]
        named += [(f"{one} ~ {other}", encode([one, other]), None) for one, other in pairs]
    if url is None or protocol is None:
        outputs = _in_process(workspace, model, choice, [arrays for _, arrays, _ in named])
    else:
        outputs = _over_the_wire(protocol, url, spec, token, [arrays for _, arrays, _ in named])
    ranges = _ranges(workspace, model)
    answers = []
    for place, ((source, arrays, truth), result) in enumerate(zip(named, outputs, strict=True)):
        rows_of_answer = result[spec.outputs[0].name]
        if place >= len(named) - len(pairs):
            nothing: dict[str, Any] = {"labels": [], "truth": None, "warning": None}
            answers.append({"input": source, "cosine": cosine(*rows_of_answer), **nothing})
            continue
        for index, row in enumerate(rows_of_answer):
            warnings = [text for name, one in ranges.items() if (text := unusual(arrays[name][index], one))]
            answers.append(
                {
                    "input": source if len(rows_of_answer) == 1 else f"{source}[{index}]",
                    **described(row, spec, top),
                    "truth": truth,
                    "warning": "; ".join(warnings) or None,
                }
            )
    return answers


def described(row: np.ndarray, spec: ModelSpec, top: int) -> dict[str, Any]:
    """Describe one row of the first output: the ``top`` labels of classes, or what it is and its values."""
    if not isinstance(spec.task, Classes):
        return {"labels": [], "answer": spec.task.describe(row), "output": row.tolist()}
    probabilities = spec.task.shares(row)
    best = np.argsort(-probabilities)[:top]
    return {"labels": [{"label": spec.task.label(int(i)), "probability": float(probabilities[i])} for i in best]}


def _ranges(workspace: Workspace, model: str) -> dict[str, InputRange]:
    """Return the training data's ranges, if the workspace knows them: a server's model may be another machine's."""
    try:
        return model_in(workspace, model)[0].ranges()
    except UserError:
        return {}


def _trained(workspace: Workspace, model: str) -> KeptModel:
    with Steps() as steps, steps.step(title_of(model)) as step:
        loaded, training = ensure_trained(open_context(workspace, model, "predict"), model, tell=step.say)
        step.end("cached" if training.cached else "ok")
    return loaded


def _rows_of(loaded: KeptModel, rows: Sequence[int]) -> list[Named]:
    """Rows of the test data. Raises UserError for a row that is not there."""
    if not rows:
        return []
    known = reference.read(loaded.folder / REFERENCE)
    inputs = known.inputs.get(reference.EVALUATION)
    if inputs is None:
        raise UserError(f"{loaded.name} has no test data. Received: --from-test-set {rows[0]}")
    count = reference.rows_of(inputs)
    for row in rows:
        if row >= count:
            raise UserError(f"the test data has rows 0 to {count - 1}. Received: {row}")
    task = loaded.spec.task

    def truth(row: int) -> str | None:
        return None if known.labels is None or not isinstance(task, Classes) else task.label(int(known.labels[row]))

    return [
        (f"test row {row}", {name: array[row : row + 1] for name, array in inputs.items()}, truth(row)) for row in rows
    ]


def _in_process(
    workspace: Workspace, model: str, choice: Choice, batches: list[dict[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    context = open_context(workspace, model, "predict")
    with Steps() as steps, scratch("predict") as folder:
        with steps.step(f"package and verify {choice.name}"):
            _, artifact = ready_artifact(context, model, choice)
        with steps.step(f"predict with {choice.name} in process"):
            source, result = folder / "inputs.npz", folder / "outputs.npz"
            # Calls one after another: inputs of free lengths cannot be joined.
            reference.save_arrays(
                source, {f"{call}/{name}": one for call, batch in enumerate(batches) for name, one in batch.items()}
            )
            request = {
                "path": choice.card.name,
                "payload": str(artifact.payload),
                "inputs": str(source),
                "outputs": str(result),
            }
            run_stage("predict", request, context.log(f"predict-{choice.name}"), context.cancel, threads=1)
        with np.load(result, allow_pickle=False) as file:
            outputs = by_call({name: file[name] for name in file.files})
    try:
        for batch, answer in zip(batches, outputs, strict=True):
            check_outputs(answer, spec_named(workspace, model), len(next(iter(batch.values()))))
    except ProtocolError as error:
        raise SlipwayError(f"{choice.name} gives no answer to this input: {error}") from error
    return outputs


def _over_the_wire(
    protocol: str, url: str, spec: ModelSpec, token: str | None, batches: list[dict[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    target = Target(url, spec.name, {tensor.name: tensor.dtype for tensor in spec.outputs}, token)
    try:
        answers = [ask(protocol, target, batch) for batch in batches]
        for batch, answer in zip(batches, answers, strict=True):
            check_outputs(answer, spec, len(next(iter(batch.values()))))
        return answers
    except Unreachable as error:
        raise UserError(f"no server answers: {error}. Start one with: slipway serve PATH") from error
    except ProtocolError as error:
        raise SlipwayError(f"the server at {url} refused over {protocol}: {error}") from error

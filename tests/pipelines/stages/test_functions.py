"""The stages, called in this process: a model whose evaluation set is small."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from models.trained import TrainedModel
from pipelines.artifacts import reference
from pipelines.artifacts.parity import BATCHES, chunks
from pipelines.stages import functions
from pipelines.stages.answers import ANSWER_ROWS, ANSWERS, REFERENCE, Answers


@pytest.fixture(scope="module")
def payload(trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("payload")
    functions.package("onnxruntime", "pytorch", str(trained.weights.parent), str(folder), "unused")
    return folder


@pytest.mark.parametrize("rows", [1, 7, 64, 99, 150])
def test_a_small_evaluation_set_is_verified_row_by_row_and_gives_whole_batches_to_load_tests(
    rows: int, trained: TrainedModel, payload: Path, tmp_path: Path
) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    shutil.copytree(trained.weights.parent, model)
    out.mkdir()
    with np.load(model / REFERENCE) as file:
        cut = {key: file[key][:rows] if key.startswith("evaluation/") else file[key] for key in file.files}
    # The last row is given another class than the model finds: the accuracy tells whether it is counted.
    scores = cut["evaluation/outputs/logits"]
    cut["evaluation/labels"] = scores.argmax(1)
    cut["evaluation/labels"][-1] = scores[-1].argmin()
    reference.save_arrays(model / REFERENCE, cut)

    found = functions.verify("onnxruntime", "pytorch", str(payload), "a" * 64, "b" * 64, str(model), str(out), None)

    assert found["passed"], found["breaches"]
    assert found["accuracy"] == found["reference_accuracy"] == pytest.approx((rows - 1) / rows)
    judged = {check["batch"]: check["rows"] for check in found["checks"] if check["set"] == "evaluation"}
    seen = max((part.stop for part in chunks(rows, BATCHES)), default=0)
    assert set(judged) == {size for size in BATCHES if size <= rows} | {
        min(100, rows - at) for at in range(seen, rows, 100)
    }
    answers = Answers(out / ANSWERS)
    for batch in (1, trained.spec.offline_batch):
        inputs = answers.inputs(batch)
        assert [len(one["image"]) for one in inputs] == [batch] * (ANSWER_ROWS // batch)
        assert np.array_equal(inputs[0]["image"][0], cut["evaluation/inputs/image"][0])


def test_what_is_slow_is_verified_at_every_batch_size_once_and_on_no_other_rows(
    trained: TrainedModel, payload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions, "PATIENCE_S", 0.0)
    model = str(trained.weights.parent)

    found = functions.verify("onnxruntime", "pytorch", str(payload), "a" * 64, "b" * 64, model, str(tmp_path), None)

    assert found["passed"], found["breaches"]
    assert found["accuracy"] is None
    assert [(check["set"], check["batch"]) for check in found["checks"]] == [("evaluation", size) for size in BATCHES]
    batch, answers = trained.spec.offline_batch, Answers(tmp_path / ANSWERS)
    first, again = (one["image"] for one in answers.inputs(batch))
    assert np.array_equal(first, again)
    assert len(np.unique(first, axis=0)) == batch

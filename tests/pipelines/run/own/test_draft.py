"""The spec of a user's model: from what the file says and what its user says; and how samples are divided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.files import FileFacts
from models.files.kept import spec_from, spec_plain
from models.files.model import CALIBRATION, EVALUATION, LABELS
from models.spec import Integers, Mask, OneOf, TensorSpec, Uniform
from models.task import Classes, Plain, Vectors
from pipelines.base.errors import UserError
from pipelines.run.own.draft import check_labels, draft, finished, with_texts
from pipelines.run.own.samples import CALIBRATION_ROWS, JUDGED_ROWS, read_samples
from pipelines.run.own.wishes import FloorWish, InputWish, PictureWish, SpecWishes
from pipelines.stages.taking import are_probabilities

FACTS = FileFacts(
    kind="pt2",
    sha256="0" * 64,
    size_bytes=1,
    inputs=(
        TensorSpec("ids", "int64", ("batch", "dim_1"), Integers(0, 49)),
        TensorSpec("extra", "float32", ("batch", 8), Uniform(-1, 1)),
    ),
    outputs=(TensorSpec("logits", "float32", ("batch", 4)),),
    operators={},
    versions={},
)


def test_what_nobody_says_follows_from_the_file() -> None:
    spec = draft("words", FACTS, SpecWishes())
    assert (spec.name, spec.task, spec.labels) == ("words", Plain(), ())
    assert spec.inputs == FACTS.inputs
    assert spec.lengths == {"dim_1": (8, 64)}
    assert spec_from(spec_plain(spec)) == spec


@pytest.mark.parametrize(
    ("bounds", "wish", "lengths"),
    [
        ((3, None), None, (8, 64)),
        ((3, 20), None, (8, 20)),
        ((100, None), None, (100, 100)),
        ((3, 20), (4, 16), (4, 16)),
    ],
)
def test_a_free_length_is_bounded(
    bounds: tuple[int, int | None], wish: tuple[int, int] | None, lengths: tuple[int, int]
) -> None:
    wishes = SpecWishes(lengths={} if wish is None else {"dim_1": wish})
    assert draft("words", replace(FACTS, lengths={"dim_1": bounds}), wishes).lengths == {"dim_1": lengths}


@pytest.mark.parametrize(("bound", "wish", "most"), [(None, 256, 256), (64, 256, 64), (64, 32, 32), (16, 256, 16)])
def test_no_batch_is_larger_than_the_file_takes(bound: int | None, wish: int, most: int) -> None:
    assert draft("words", replace(FACTS, most_rows=bound), SpecWishes(max_batch=wish)).max_batch == most


def test_what_the_user_says_is_taken() -> None:
    wishes = SpecWishes(
        title="Words",
        labels=("a", "b", "c", "d"),
        inputs={"ids": InputWish(low=1, high=9), "extra": InputWish(values=(0.0, 1.0))},
        floors={"int8": FloorWish(15.0, 0.9)},
    )
    spec = draft("words", FACTS, wishes)
    assert spec.task == Classes(("a", "b", "c", "d"))
    assert [tensor.values for tensor in spec.inputs] == [Integers(1, 9), OneOf((0.0, 1.0))]
    assert spec.floors["int8"].min_sqnr_db == 15.0
    assert spec_from(spec_plain(spec)) == spec
    assert draft("words", FACTS, SpecWishes(task="vectors")).task == Vectors()
    assert draft("words", FACTS, SpecWishes(inputs={"ids": InputWish(mask=True)})).inputs[0].values == Mask()


SCALE = TensorSpec("scale", "float32", (3,), Uniform(0, 1))
TEXT: dict[str, Any] = {"inputs": (TensorSpec("x", "str", ("batch",)),)}
KERAS_TEXT = {**TEXT, "kind": "keras"}


def test_texts_are_drawn_from_what_the_user_says_or_from_the_samples() -> None:
    facts = replace(FACTS, **KERAS_TEXT)
    said = draft("words", facts, SpecWishes(inputs={"x": InputWish(values=("good", "bad"))}))
    assert with_texts(said, None) == said
    drawn = said.draw(20, {}, 1)["x"]
    assert set(drawn.tolist()) == {"good", "bad"}
    assert said.inputs[0].has_type_of(drawn)
    assert spec_from(spec_plain(said)) == said
    samples = {"evaluation/x": np.array(["a film", "a book", "a film"])}
    unsaid = draft("words", facts, SpecWishes())
    assert with_texts(unsaid, samples).inputs[0].values == OneOf(("a film", "a book"))
    with pytest.raises(UserError, match="no file says which ones make sense"):
        with_texts(unsaid, None)


@pytest.mark.parametrize(
    ("changed", "wishes", "says"),
    [
        ({"batch": 1}, SpecWishes(), "takes 1 row a call"),
        ({"most_rows": 15}, SpecWishes(), "takes 15 rows a call at most, and batches of 16 are sent"),
        ({"inputs": (TensorSpec("x", "float32", ("...",)),)}, SpecWishes(), "does not say the shape of x"),
        (
            {"inputs": (*FACTS.inputs, SCALE)},
            SpecWishes(),
            "scale has the shape (3,), and its first dimension has to be",
        ),
        ({"inputs": (TensorSpec("x", "bfloat16", ("batch", 2)),)}, SpecWishes(), "x is of the type bfloat16, which"),
        (TEXT, SpecWishes(), "x takes texts, which no path takes from a file of the kind pt2"),
        (KERAS_TEXT, SpecWishes(inputs={"x": InputWish(values=(0.0, 1.0))}), "inputs.x: values have to be texts"),
        (KERAS_TEXT, SpecWishes(inputs={"x": InputWish(low=0, high=1)}), "inputs.x: give values, which are texts"),
        ({}, SpecWishes(inputs={"extra": InputWish(values=("a", "b"))}), "inputs.extra: values have to be numbers"),
        ({}, SpecWishes(inputs={"extr": InputWish(low=0, high=1)}), "unknown input: 'extr'. Did you mean extra"),
        ({}, SpecWishes(inputs={"extra": InputWish(low=1, high=0)}), "inputs.extra: give low and high"),
        ({}, SpecWishes(lengths={"dim_2": (1, 2)}), "unknown free dimension"),
        ({}, SpecWishes(picture=PictureWish(height=8, width=8)), "[picture] makes one input of shape (N, 8, 8, 3)"),
        ({"lengths": {"dim_1": (3, 20)}}, SpecWishes(lengths={"dim_1": (2, 20)}), "the file allows 3 to 20"),
        ({"lengths": {"dim_1": (3, 20)}}, SpecWishes(lengths={"dim_1": (9, 8)}), "Received: 9 to 8"),
    ],
)
def test_what_does_not_fit_the_file_is_refused(changed: dict[str, Any], wishes: SpecWishes, says: str) -> None:
    with pytest.raises(UserError) as caught:
        draft("words", replace(FACTS, **changed), wishes)
    assert says in str(caught.value)


PICTURE = TensorSpec("image", "float32", ("batch", 8, 9, 3), Uniform(0, 1))


def test_a_picture_is_one_input_with_its_channels_last() -> None:
    wishes = SpecWishes(picture=PictureWish(height=8, width=9, scale=255.0))
    spec = draft("flowers", replace(FACTS, inputs=(PICTURE,)), wishes)
    assert spec.picture is not None
    assert (spec.picture.height, spec.picture.width, spec.picture.scale) == (8, 9, 255.0)
    assert spec_from(spec_plain(spec)) == spec


def test_classes_need_a_score_each() -> None:
    spec = draft("words", FACTS, SpecWishes(labels=("a", "b", "c", "d")))
    whole = finished(spec, FACTS.outputs, probabilities=True)
    assert whole.task == Classes(("a", "b", "c", "d"), probabilities=True)
    assert spec_from(spec_plain(whole)) == whole
    for shape, dtype in ((("batch",), "float32"), (("batch", 5), "float32"), (("batch", 4), "int64")):
        with pytest.raises(UserError, match="a score for each of 4 classes"):
            finished(spec, (TensorSpec("label", dtype, shape),), probabilities=False)
    check_labels(whole, {LABELS: np.array([0, 3])})
    for labels in ([-1, 3], [0, 4]):
        with pytest.raises(UserError, match="labels of samples are 0 to 3"):
            check_labels(whole, {LABELS: np.array(labels)})
    plain = draft("words", FACTS, SpecWishes())
    assert finished(plain, FACTS.outputs, probabilities=True).task == Plain()


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([[0.2, 0.8], [1.0, 0.0]], True),
        ([[0.2, 0.7], [1.0, 0.0]], False),
        ([[-0.2, 1.2]], False),
        ([[3.0, 9.0]], False),
    ],
)
def test_probabilities_are_told_from_logits(scores: list[list[float]], says: bool) -> None:
    assert are_probabilities(np.array(scores, np.float32)) is says
    row = np.array([0.25, 0.75], np.float32)
    assert Classes(("a", "b"), probabilities=True).describe(row) == "b (75.0%)"
    assert Classes(("a", "b")).describe(row) != "b (75.0%)"


def samples(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "samples.npz", allow_pickle=False, **arrays)
    return folder / "samples.npz"


def rows(count: int) -> dict[str, np.ndarray]:
    return {"ids": np.zeros((count, 8), np.int64), "extra": np.arange(count * 8, dtype=np.float32).reshape(count, 8)}


@pytest.mark.parametrize(
    ("count", "calibrate", "judge"), [(4, 2, 2), (7, 3, 4), (2_000, CALIBRATION_ROWS, JUDGED_ROWS)]
)
def test_no_row_is_calibrated_with_and_judged_by(tmp_path: Path, count: int, calibrate: int, judge: int) -> None:
    file = samples(tmp_path, **rows(count), labels=np.arange(count, dtype=np.int32))
    found = read_samples(file, draft("words", FACTS, SpecWishes()))
    assert len(found[f"{CALIBRATION}/extra"]) == calibrate
    assert len(found[f"{EVALUATION}/extra"]) == judge
    assert found[LABELS].tolist() == list(range(calibrate, calibrate + judge))
    used = {row.tobytes() for row in found[f"{CALIBRATION}/extra"]}
    assert not used & {row.tobytes() for row in found[f"{EVALUATION}/extra"]}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"ids": None}, "expected the arrays ids, extra"),
        ({"more": np.zeros(8)}, "Received: extra, ids, more"),
        ({"ids": np.zeros((8, 8), np.int32)}, "expected ids to be int64 of shape (N, dim_1)"),
        ({"extra": np.zeros((8, 9), np.float32)}, "expected extra to be float32 of shape (N, 8)"),
        ({"extra": np.zeros((7, 8), np.float32)}, "as many in each array"),
        ({"extra": np.full((8, 8), np.nan, np.float32)}, "NaN or infinity"),
        ({"ids": np.zeros((8, 65), np.int64)}, "the spec allows 8 to 64"),
        ({"labels": np.zeros(8, np.float32)}, "expected labels to be whole numbers"),
        ({"labels": np.zeros(3, np.int64)}, "as many in each array"),
    ],
)
def test_samples_that_do_not_fit_are_refused(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    arrays = {name: one for name, one in (rows(8) | changed).items() if one is not None}
    with pytest.raises(UserError) as caught:
        read_samples(samples(tmp_path, **arrays), draft("words", FACTS, SpecWishes()))
    assert says in str(caught.value)


def test_what_is_no_archive_of_arrays_is_refused(tmp_path: Path) -> None:
    spec, file = draft("words", FACTS, SpecWishes()), tmp_path / "x.npz"
    for content in (b"", b"PK\x03\x04 and no more", b"text"):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"x\.npz"):
            read_samples(file, spec)

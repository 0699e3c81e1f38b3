"""Reads what a user says of a model: strictly, and every mistake is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.base.errors import UserError
from pipelines.run.own.wishes import SpecWishes, read_wishes

WHOLE = """
title = "Flowers"
task = "classes"
labels = ["rose", "tulip"]
rate_per_s = 5
max_batch = 16
[lengths]
dim_1 = [4, 32]
[inputs.image]
low = 0
high = 255
[picture]
height = 32
width = 48
scale = 255
[floors.int8]
min_sqnr_db = 15
min_agreement = 0.9
"""


def written(folder: Path, text: str, name: str = "spec.toml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_everything_that_can_be_said_is_read(tmp_path: Path) -> None:
    wishes = read_wishes(written(tmp_path, WHOLE), None)
    assert (wishes.title, wishes.task, wishes.labels) == ("Flowers", "classes", ("rose", "tulip"))
    assert (wishes.rate_per_s, wishes.max_batch) == (5, 16)
    assert wishes.lengths == {"dim_1": (4, 32)}
    assert (wishes.inputs["image"].low, wishes.inputs["image"].high) == (0, 255)
    assert wishes.picture is not None
    assert (wishes.picture.height, wishes.picture.width, wishes.picture.channels) == (32, 48, 3)
    assert wishes.floors["int8"].min_agreement == 0.9


def test_nothing_need_be_said() -> None:
    assert read_wishes(None, None) == SpecWishes()


def test_labels_come_from_a_file(tmp_path: Path) -> None:
    assert read_wishes(None, written(tmp_path, "rose\r\ntulip\n", "labels.txt")).labels == ("rose", "tulip")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title = ", "is no TOML file"),
        ("titel = 'x'", "titel: unexpected keyword argument"),
        ("task = 'regression'", "task: input should be 'classes', 'vectors' or 'plain'"),
        ("rate_per_s = 0", "rate_per_s: input should be greater than 0"),
        ("[lengths]\ndim_1 = [0, 4]", "lengths.dim_1.0: input should be greater than 0"),
        ("[picture]\nheight = 8", "picture.width: field required"),
        ("[floors.int4]\nmin_sqnr_db = 1", "floors.int4"),
        ("[inputs.image]\nlow = 0\nhigh = inf", "inputs.image.high: input should be a finite number"),
        ("[inputs.image]\nlo = 1", "inputs.image.lo: unexpected keyword argument"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        read_wishes(written(tmp_path, text), None)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_twice_and_empty_labels_are_refused(tmp_path: Path) -> None:
    labels = written(tmp_path, "rose\n\ntulip\n", "labels.txt")
    with pytest.raises(UserError, match="some of them empty"):
        read_wishes(None, labels)
    with pytest.raises(UserError, match="labels are given twice"):
        read_wishes(written(tmp_path, "labels = ['a']"), labels)
    with pytest.raises(UserError, match="cannot read the spec"):
        read_wishes(tmp_path / "nothing.toml", None)

"""The description of an answer, for each kind of output."""

from __future__ import annotations

import numpy as np
import pytest

from models.task import Classes, Plain, Task, Vectors

ROW = np.array([3.0, 0.0, 4.0, 0.0, 0.0], "float32")


@pytest.mark.parametrize(
    ("task", "judged_by", "said"),
    [
        (Classes(("a", "b", "c", "d", "e")), "top-1", "c (70.3%)"),
        (Classes(), "top-1", "2 (70.3%)"),
        (Vectors(), "cosine", "vector of 5 values, length 5"),
        (Plain(), "differences", "3, 0, 4, 0, ..."),
    ],
)
def test_an_answer_is_described_as_its_task_is(task: Task, judged_by: str, said: str) -> None:
    assert task.judged_by == judged_by
    assert task.describe(ROW) == said


def test_a_single_number_is_described() -> None:
    assert Plain().describe(np.float32(2.5)) == "2.5"

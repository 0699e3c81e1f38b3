"""Tests that a certificate without an accuracy says why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_samples import artifact, certificate, report, row

from pipelines.report import numbers
from pipelines.report.views import parity_columns, parity_rows


@pytest.mark.parametrize(
    ("accuracy", "reference", "text", "why"),
    [
        (0.9912, 0.9912, "99.12", None),
        (None, 0.9912, numbers.DASH, "too slow to be asked for the whole evaluation set"),
        (None, None, numbers.DASH, "the evaluation set has no labels"),
    ],
)
def test_an_accuracy_that_is_missing_says_why(
    accuracy: float | None, reference: float | None, text: str, why: str | None
) -> None:
    proof = replace(certificate(accuracy=accuracy), reference_accuracy=reference)
    made = report((artifact("tfjs", "webgl", 1, certificate=proof),), (row("tfjs", "webgl", "in-process", 1.0),))
    titles = [column.header.title for column in parity_columns(made)]
    ((shown,),) = ([line.cells[titles.index("Accuracy")]] for line in parity_rows(made))
    assert (shown.text, shown.why) == (text, why)

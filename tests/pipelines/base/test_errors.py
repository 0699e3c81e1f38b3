"""Tests which names are suggested for one that is unknown."""

from __future__ import annotations

import pytest

from pipelines.base.errors import unknown

MODELS = ("mnist_cnn", "efficientnet_lite0", "minilm")


@pytest.mark.parametrize(
    ("received", "known", "said"),
    [
        ("mnist_cn", MODELS, "Did you mean mnist_cnn?"),
        ("P9", ("p1", "q7"), "Did you mean p1?"),  # half of it alike is just enough
        ("resnet", MODELS, "Known: mnist_cnn, efficientnet_lite0, minilm."),
        ("resnet", ("pictures", "iris", "bert"), "Known: pictures, iris, bert."),  # 0.43, 0.4 and 0.4
    ],
)
def test_a_name_is_suggested_if_it_is_near_and_else_all_are_listed(
    received: str, known: tuple[str, ...], said: str
) -> None:
    assert str(unknown("model", received, known)) == f"unknown model: {received!r}. {said}"

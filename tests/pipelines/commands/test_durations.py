"""Durations as the options of commands take them."""

from __future__ import annotations

import click
import pytest

from pipelines.commands.durations import Duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90", 90), ("90s", 90), ("10m", 600), ("10min", 600), ("1h", 3600), ("1.5 h", 5400), (".5", 0.5), ("0", 0)),
        (" 2m ", 120),
        (5.0, 5.0),
    ],
)
def test_a_duration_is_in_seconds(text: str | float, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1", "1d", "10 m 5", "1e3", "nan", "inf", "ten", "1,5m", "9" * 400])
def test_nonsense_is_refused_and_shown(text: str) -> None:
    with pytest.raises(click.BadParameter, match="Received: "):
        Duration().convert(text, None, None)


def test_bounds_are_in_seconds_whatever_the_unit() -> None:
    assert Duration(5, 3600).convert("60m", None, None) == 3600
    for text in ("61m", "4.9s"):
        with pytest.raises(click.BadParameter, match=f"expected 5 to 3600 s. Received: {text}"):
            Duration(5, 3600).convert(text, None, None)

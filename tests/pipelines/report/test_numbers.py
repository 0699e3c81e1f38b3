from __future__ import annotations

import pytest

from pipelines.report import numbers
from pipelines.results import Holds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.01234, "0.0123"), (1.005, "1.00"), (9.999, "10.0"), (12.34, "12.3"), (999.6, "1,000"),
        (1234.5, "1,234"), (1_234_567, "1,234,567"), (-3.14159, "-3.14"),
    ],
)  # fmt: skip
def test_figures(value: float, text: str) -> None:
    assert numbers.figures(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "100"), (0.999999, "99.99"), (0.9912, "99.12"), (0.94, "94.00"), (0.0, "0.00")]
)
def test_percent_says_100_of_the_whole_alone(value: float, text: str) -> None:
    assert numbers.percent(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.4, "8.4 s"), (59.99, "60 s"), (200.4, "3 min 20 s"), (3725, "1 h 2 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_contents_begin_with_the_type_of_most_weights() -> None:
    held = Holds({"float32": 3, "int32": 0, "int8": 97}, {"Conv": 1}, ("FlexErf",), 0.5, {"opset": "20"})
    assert numbers.contents(held) == "int8 97 %, float32 3.0 %; 50.00 % delegated; custom: FlexErf; opset 20"
    assert numbers.contents(Holds({}, {})) == "no weights"


def test_plain_takes_out_what_steers_a_terminal_or_the_reading_direction() -> None:
    assert numbers.plain("\x1b[31mred\x1b[0m \x1b]0;title\x07x\r\ny\x00\u202ez\tt 日本") == "red x\ny��z\tt 日本"


def test_plain_survives_half_a_character() -> None:
    numbers.plain("\udc80").encode("utf-8")


def test_reason_is_split_into_sentence_and_log() -> None:
    assert numbers.sentence_and_log("it died\n  at line 1\nat 2\n") == ("it died", "  at line 1\nat 2")
    assert numbers.sentence_and_log(None) == ("", "")


@pytest.mark.parametrize(
    ("name", "chars", "short"),
    [("abcdef", 6, "abcdef"), ("abcdefg", 6, "abc…fg"), ("abcdefg", 5, "ab…fg"), ("", 5, "")],
)
def test_a_name_is_shortened_in_the_middle(name: str, chars: int, short: str) -> None:
    assert numbers.shortened(name, chars) == short
    assert len(short) <= chars

"""The statistics of claims, against distributions whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from pipelines.claims import ClaimReading, Ruling
from pipelines.claims.experiments.statistics import (
    EFFECT,
    ERROR,
    against,
    break_even,
    median,
    nearer,
    off,
    ratio,
    rule,
    side,
    slope,
    slope_signs,
    together,
)

TRIALS = 600


def drawn(true: float, rounds: int, draw: np.random.Generator) -> list[tuple[float, float]]:
    """Pairs of one round each: what disturbs a round disturbs both, and each has noise of its own, with a long tail."""
    common = np.exp(draw.exponential(0.5, rounds))
    noise = np.exp(draw.exponential(0.08, (rounds, 2)))
    return [(true * one * a, one * b) for one, (a, b) in zip(common, noise, strict=True)]


@pytest.mark.parametrize(("rounds", "outcomes"), [(6, 1), (6, 3), (12, 1)])
def test_the_interval_of_a_ratio_covers_the_true_one(rounds: int, outcomes: int) -> None:
    draw = np.random.default_rng(11)
    found = [ratio("r", drawn(0.7, rounds, draw), outcomes) for _ in range(TRIALS)]
    covered = sum(one.low is not None and one.high is not None and one.low <= 0.7 <= one.high for one in found) / TRIALS
    promised = found[0].coverage
    assert promised is not None
    assert promised >= 1 - ERROR / outcomes or rounds == 6
    assert covered >= promised - 3 * math.sqrt(promised * (1 - promised) / TRIALS)


def test_eight_rounds_give_second_to_seventh_and_more_outcomes_a_wider_one() -> None:
    pairs = [(float(value), 1.0) for value in (1, 2, 3, 4, 5, 6, 7, 8)]
    assert (ratio("r", pairs).low, ratio("r", pairs).high) == (2.0, 7.0)
    assert (ratio("r", pairs, 5).low, ratio("r", pairs, 5).high) == (1.0, 8.0)
    assert ratio("r", pairs).value == 4.5
    assert ratio("r", pairs).raw[0] == (1.0, 1.0)


def test_few_rounds_have_no_interval() -> None:
    found = ratio("r", [(1.0, 2.0)] * 4)
    assert (found.value, found.low, found.high, found.coverage) == (0.5, None, None, None)
    assert side(found) == "wide"
    assert against(found, "below") is None


@pytest.mark.parametrize("pairs", [[], [(0.0, 1.0)], [(1.0, math.nan)], [(1.0, -1.0)]])
def test_what_has_no_ratio_is_refused(pairs: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="positive"):
        ratio("r", pairs)


def test_a_median_needs_values() -> None:
    assert median("m", [3.0, 1.0, 2.0, 5.0, 4.0], "MB").value == 3.0
    with pytest.raises(ValueError, match="values"):
        median("m", [], "MB")


def reading(low: float, high: float) -> ClaimReading:
    return ClaimReading("r", math.sqrt(low * high), "x", low, high, 0.93)


@pytest.mark.parametrize(
    ("low", "high", "where", "below", "above"),
    [
        (0.5, 0.9, "below", True, False),
        (0.5, 0.92, "wide", None, False),
        (0.92, 1.09, "equal", False, False),
        (0.92, 1.2, "wide", False, None),
        (1.11, 1.5, "above", False, True),
        (0.5, 1.5, "wide", None, None),
    ],
)
def test_where_an_interval_lies(low: float, high: float, where: str, below: bool | None, above: bool | None) -> None:
    assert side(reading(low, high)) == where
    assert against(reading(low, high), "below") is below
    assert against(reading(low, high), "above") is above


BELOW, EQUAL, WIDE = reading(0.5, 0.8), reading(0.95, 1.05), reading(0.5, 1.5)


@pytest.mark.parametrize(
    ("readings", "outcome"),
    [
        ([BELOW, BELOW], Ruling.HOLDS),
        ([EQUAL, EQUAL], Ruling.DOES_NOT_HOLD),
        ([BELOW, EQUAL], Ruling.DEPENDS),
        ([BELOW, EQUAL, WIDE], Ruling.DEPENDS),
        ([BELOW, WIDE], Ruling.UNDECIDED),
        ([EQUAL, WIDE], Ruling.UNDECIDED),
        ([], Ruling.UNDECIDED),
    ],
)
def test_the_rule(readings: Sequence[ClaimReading], outcome: Ruling) -> None:
    assert rule(readings, "below") is outcome


def test_equal_things_are_hardly_ever_called_different() -> None:
    draw = np.random.default_rng(5)
    wrong = sum(rule([ratio("r", drawn(1.0, 8, draw))], "below") is Ruling.HOLDS for _ in range(TRIALS))
    assert wrong / TRIALS < 0.01


def test_a_control_that_is_off_is_seen() -> None:
    assert not off(reading(0.97, 1.04))
    assert not off(reading(0.9, 1.2))  # wide, but 1 is in it
    assert off(reading(1.06, 1.09))
    assert off(reading(0.90, 0.94))
    assert off(ClaimReading("aa", 1 + EFFECT + 0.01))
    assert not off(ClaimReading("aa", 1.02))


def test_the_sign_of_a_slope() -> None:
    draw, x = np.random.default_rng(3), [1.0, 2.0, 3.0, 4.0, 5.0]
    rising = [[0.1 * one + draw.normal(0, 0.05) for one in x] for _ in range(8)]
    flat = [[draw.normal(0, 0.05) for _ in x] for _ in range(8)]
    assert slope_signs(x, rising, seed=1) > 0.99
    assert slope_signs(x, [[-one for one in row] for row in rising], seed=1) < 0.01
    assert 0.01 < slope_signs(x, flat, seed=1) < 0.99
    assert slope([0, 1, 2], [1.0, 3.0, 5.0]) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="rounds"):
        slope_signs(x, rising[:4], seed=1)
    with pytest.raises(ValueError, match="places"):
        slope([1, 1], [1.0, 2.0])


def test_things_measured_together_have_one_pair_a_round() -> None:
    found = together([[(2.0, 1.0), (8.0, 1.0)], [(2.0, 4.0), (2.0, 4.0)]])
    assert found == [pytest.approx((2.0, 2.0)), pytest.approx((4.0, 2.0))]
    with pytest.raises(ValueError, match="at least one"):
        together([])


@pytest.mark.parametrize(("one", "other", "nearness"), [(1.2, 3.0, 0.4), (1 / 1.2, 3.0, 0.4), (2.0, 0.5, 1.0)])
def test_nearness_does_not_ask_which_of_two_is_larger(one: float, other: float, nearness: float) -> None:
    draw = np.random.default_rng(5)
    found = [nearer("n", drawn(one, 8, draw), drawn(other, 8, draw)) for _ in range(TRIALS)]
    covered = np.mean([each.low <= nearness <= each.high for each in found if each.low and each.high])
    assert np.median([each.value for each in found]) == pytest.approx(nearness, rel=0.08)
    # Noise turns a distance of nearly 1 into a larger one: such intervals cover a little less.
    assert covered >= found[0].coverage - 0.08
    assert len(found[0].raw[0]) == 4
    with pytest.raises(ValueError, match="as many pairs"):
        nearer("n", [(1.0, 1.0)], [])


def test_the_interval_of_a_break_even_covers_the_true_one() -> None:
    draw = np.random.default_rng(6)
    found = []
    for _ in range(TRIALS):
        costs, gains = 10 * np.exp(draw.normal(0, 0.1, 5)), 0.01 * np.exp(draw.normal(0, 0.2, 8))
        found.append(break_even("b", costs.tolist(), gains.tolist(), "steps"))
    known = [one for one in found if one is not None]
    assert len(known) == TRIALS
    covered = np.mean([one.low <= 1000 <= one.high for one in known if one.low and one.high])
    assert covered >= known[0].coverage
    assert np.median([one.value for one in known]) == pytest.approx(1000, rel=0.05)


def test_a_gain_that_may_be_none_is_not_known_to_pay() -> None:
    sure, unsure = [0.1] * 8, [0.1] * 6 + [-0.1, -0.1]
    assert break_even("b", [1.0] * 5, sure, "steps") is not None
    assert break_even("b", [1.0] * 5, unsure, "steps") is None
    few = break_even("b", [1.0], [0.1], "steps")
    assert few is not None
    assert (few.value, few.low) == (pytest.approx(10), None)
    assert break_even("b", [1.0], [-0.1], "steps") is None

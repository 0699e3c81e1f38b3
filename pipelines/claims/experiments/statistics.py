"""Computes what claims are judged by: ratios of pairs, slopes, and the rule for a set of ratios. Pure.

The unit of replication is a round: each thing measured once, each in a fresh process, in random order. A ratio is the
median of the rounds' own ratios, so that what disturbs a whole round cancels out; its interval is by order statistics,
which assume no distribution (Hoefler and Belli, doi 10.1145/2807591.2807644).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipelines.claims import ClaimReading, Ruling
from pipelines.loadtest.statistics.intervals import MIN_RUNS, Interval, median_interval

EFFECT = 0.10
"""The smallest effect that matters: a ratio within 1/1.1 to 1.1 is no difference. Fixed before measuring."""
ERROR = 0.10
"""The probability that any of the intervals of one rule misses its true value, when there are rounds enough."""
CONTROL = 0.05
"""How far the ratio of a thing to itself may be from 1 in a sound session."""


def ratio(name: str, pairs: Sequence[tuple[float, float]], outcomes: int = 1) -> ClaimReading:
    """Return the median of numerator over denominator, with its interval if there are rounds enough.

    Of ``outcomes`` ratios that one rule looks at, each has an interval of 1 - ERROR / outcomes (Bonferroni), as far
    as the number of rounds allows; the reading says what it covers. Raises ValueError for no pairs, or a number that
    is not positive.
    """
    if not pairs or any(value <= 0 or not math.isfinite(value) for pair in pairs for value in pair):
        raise ValueError(f"{name}: a ratio needs pairs of positive numbers. Received: {list(pairs)}")
    values = [above / below for above, below in pairs]
    raw = tuple((float(above), float(below)) for above, below in pairs)
    return _reading(name, values, "x", raw, outcomes)


def median(name: str, values: Sequence[float], unit: str, outcomes: int = 1) -> ClaimReading:
    """Return the median of figures of independent rounds, with its interval if there are enough of them."""
    if not values:
        raise ValueError(f"{name}: a median needs values")
    return _reading(name, values, unit, tuple((float(value),) for value in values), outcomes)


def _reading(
    name: str, values: Sequence[float], unit: str, raw: tuple[tuple[float, ...], ...], outcomes: int
) -> ClaimReading:
    found = median_interval(values, 1 - ERROR / outcomes)
    if isinstance(found, Interval):
        return ClaimReading(name, found.value, unit, found.low, found.high, found.coverage, raw)
    return ClaimReading(name, float(np.median(values)), unit, raw=raw)


def side(reading: ClaimReading, effect: float = EFFECT) -> str:
    """Return ``below``, ``above`` or ``equal``: where the whole interval of a ratio lies; ``wide`` if in no one place.

    Below is less than 1 / (1 + effect), above more than 1 + effect. Without an interval, it is ``wide``.
    """
    if reading.low is None or reading.high is None:
        return "wide"
    if reading.high < 1 / (1 + effect):
        return "below"
    if reading.low > 1 + effect:
        return "above"
    if reading.low >= 1 / (1 + effect) and reading.high <= 1 + effect:
        return "equal"
    return "wide"


def against(reading: ClaimReading, claimed: str, effect: float = EFFECT) -> bool | None:
    """Return whether a ratio is beyond the smallest effect on the side claimed; None if its interval does not say.

    An interval that is surely not on the claimed side is False, even if it spans ``equal`` and the other side.
    """
    if reading.low is None or reading.high is None:
        return None
    low, high = 1 / (1 + effect), 1 + effect
    beyond, short = (
        (reading.high < low, reading.low >= low)
        if claimed == "below"
        else (
            reading.low > high,
            reading.high <= high,
        )
    )
    return True if beyond else False if short else None


def rule(readings: Sequence[ClaimReading], claimed: str, effect: float = EFFECT) -> Ruling:
    """Judge ratios by the rule of the ledger: the claimed side is ``below`` or ``above``.

    The claim holds if every interval is beyond the smallest effect on that side, does not hold if none is, and
    depends on what differs between them if some are and some are not. An interval that spans the limit decides
    nothing: the claim is undecided unless others already show both.
    """
    if not readings:
        return Ruling.UNDECIDED
    found = {against(reading, claimed, effect) for reading in readings}
    if {True, False} <= found:
        return Ruling.DEPENDS
    if None in found:
        return Ruling.UNDECIDED
    return Ruling.HOLDS if found == {True} else Ruling.DOES_NOT_HOLD


def off(control: ClaimReading) -> bool:
    """Return whether the ratio of a thing to itself shows that the session measured something else, too.

    Its median is beyond the smallest effect, or its interval excludes all that is within CONTROL of 1.
    """
    if not 1 / (1 + EFFECT) <= control.value <= 1 + EFFECT:
        return True
    if control.low is None or control.high is None:
        return False
    return control.low > 1 + CONTROL or control.high < 1 / (1 + CONTROL)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the least-squares slope of ``y`` over ``x``. Raises ValueError for fewer than two different ``x``."""
    if len(set(x)) < 2:
        raise ValueError(f"a slope needs two different places. Received: {list(x)}")
    return float(np.polyfit(np.asarray(x, float), np.asarray(y, float), 1)[0])


def slope_signs(x: Sequence[float], rounds: Sequence[Sequence[float]], seed: int, draws: int = 2_000) -> float:
    """Return the share of bootstrap draws of rounds in which the slope of the medians over ``x`` is positive.

    ``rounds`` holds, for each round, one value for each ``x``. Raises ValueError for fewer than MIN_RUNS rounds.
    """
    if len(rounds) < MIN_RUNS:
        raise ValueError(f"a bootstrap needs {MIN_RUNS} rounds. Received: {len(rounds)}")
    table, draw = np.asarray(rounds, float), np.random.default_rng(seed)
    chosen = draw.integers(0, len(table), (draws, len(table)))
    medians = np.median(table[chosen], axis=1)
    centred = np.asarray(x, float) - np.mean(x)
    return float(np.mean(medians @ centred > 0))


def together(columns: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Return one pair for each round: the geometric means over several things measured in that round.

    ``columns`` holds, for each thing, its pairs round by round. Raises ValueError for none.
    """
    if not columns:
        raise ValueError("a mean needs at least one thing")
    means = np.exp(np.log(np.asarray(columns, float)).mean(axis=0))
    return [(float(above), float(below)) for above, below in means]


def nearer(
    name: str,
    one: Sequence[tuple[float, float]],
    other: Sequence[tuple[float, float]],
    outcomes: int = 1,
) -> ClaimReading:
    """Return how much nearer two things are to each other in ``one`` than in ``other``: below 1 if they are nearer.

    The distance of a pair is the larger over the smaller; the value is the median over the rounds of the distance in
    ``one`` over that in ``other``. Raw are the four figures of each round. Raises ValueError for no pairs.
    """
    if not one or len(one) != len(other):
        raise ValueError(f"{name}: needs as many pairs of one as of the other. Received: {len(one)} and {len(other)}")
    raw = tuple((*map(float, first), *map(float, second)) for first, second in zip(one, other, strict=True))
    values = [max(a / b, b / a) / max(c / d, d / c) for a, b, c, d in raw]
    return _reading(name, values, "x", raw, outcomes)


def break_even(name: str, costs: Sequence[float], gains: Sequence[float], unit: str) -> ClaimReading | None:
    """Return after how many steps a cost paid once has been gained back: median cost over median gain of a step.

    ``costs`` and ``gains`` are those of independent rounds. The interval is of the lowest cost over the highest gain
    to the highest cost over the lowest gain, of intervals that share ERROR; it is left out if there are too few rounds
    of one. None if it is not known to pay: the gain's interval, or without one its median, does not exceed 0.
    """
    cost, gain = (median(name, values, unit, outcomes=2) for values in (costs, gains))
    raw = tuple((float(value),) for value in costs)
    if (gain.value if gain.low is None else gain.low) <= 0:
        return None
    value = cost.value / gain.value
    if cost.low is None or cost.high is None or gain.low is None or gain.high is None:
        return ClaimReading(name, value, unit, raw=raw)
    covered = (cost.coverage or 0) + (gain.coverage or 0) - 1
    return ClaimReading(name, value, unit, cost.low / gain.high, cost.high / gain.low, covered, raw)

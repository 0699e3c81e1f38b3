"""Sets ratios of wall time beside ratios of CPU time. They are shown and never judged: other work changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from pipelines.claims import ClaimReading

WALLS = "ratios of wall time"
"""The name of this fact."""


def walls(found: Mapping[str, Any], readings: Sequence[ClaimReading]) -> dict[str, float]:
    """Return the median ratio of wall time for each reading named ``ABOVE/BELOW CELL``, by that name.

    ``found`` has ``wall``, {arm: {cell: seconds of each round}}; readings of anything else have none.
    """
    found_of = {}
    for one in readings:
        arms, _, cell = one.name.partition(" ")
        above, below = (found["wall"].get(arm, {}).get(cell, ()) for arm in (arms.partition("/")[::2]))
        if above and below:
            found_of[one.name] = round(median(slow / fast for slow, fast in zip(above, below, strict=True)), 3)
    return found_of

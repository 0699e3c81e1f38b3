"""How far another machine's monotonic clock is ahead of this one's, and how well that is known: pure.

A question goes there and an answer with its clock comes back. Its clock was read at some moment between: the middle is
wrong by half the round trip at most, whatever the ways there and back take (Cristian, 1989). Of many
round trips the shortest says most.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Offset(NamedTuple):
    """The other clock is ``ahead_ns`` ahead, give or take ``bound_ns``."""

    ahead_ns: int
    bound_ns: int


def offset_of(trips: Iterable[tuple[int, int, int]]) -> Offset:
    """From round trips: (sent on this clock, read there on the other, returned on this clock), nanoseconds."""
    sent, there, back = min(trips, key=lambda trip: trip[2] - trip[0])
    return Offset(there - (sent + back) // 2, -((sent - back) // 2))


def over(before: Offset, after: Offset) -> Offset:
    """One offset for all of a test, from those before and after it: their middle.

    Two quartz clocks drift apart by up to some 100 us a second, steadily over a test; so the middle is
    wrong by half of what they drifted, besides what the round trips leave open.
    """
    drift = abs(after.ahead_ns - before.ahead_ns)
    return Offset((before.ahead_ns + after.ahead_ns) // 2, max(before.bound_ns, after.bound_ns) + (drift + 1) // 2)

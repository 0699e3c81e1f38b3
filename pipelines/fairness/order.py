"""Orders the rows of a run at random, so that drift of the machine favours no path. Pure."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

SEEDS = 2**31


def new_seed() -> int:
    """Draw a seed for a run that was given none; the report records it."""
    return time.time_ns() % SEEDS


def shuffled(items: Sequence[Item], seed: int, *where: object) -> list[Item]:
    """Return the items in a random order. ``where``, for example the round, separates the uses of one seed.

    The same arguments give the same order, in every process and on every machine.
    """
    order = list(items)
    random.Random(f"{seed}/{'/'.join(map(str, where))}").shuffle(order)  # noqa: S311 - an order, not a secret
    return order

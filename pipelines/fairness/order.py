"""In which order rows are measured: random, so that what drifts on a machine favours no path. Pure."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

SEEDS = 2**31


def new_seed() -> int:
    """A seed for a run that was given none: another each time, and recorded."""
    return time.time_ns() % SEEDS


def shuffled(items: Sequence[Item], seed: int, *where: object) -> list[Item]:
    """The items in a random order. ``where`` are the round and whatever else tells one use of a seed from another.

    The same arguments give the same order, in every process and on every machine.
    """
    order = list(items)
    random.Random(f"{seed}/{'/'.join(map(str, where))}").shuffle(order)  # noqa: S311 - an order, not a secret
    return order

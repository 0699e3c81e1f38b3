"""Makes readings of the matrix of steps: ratios of two arms, cell by cell, and the controls. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.claims import ClaimReading
from pipelines.claims.experiments.statistics import ratio, together

AGAIN = {"tf-function": "tf-function again", "torch-eager": "torch-eager again"}
"""Arms that are measured a second time under another name: the controls."""
TRAIN, INFER = ("train",), ("infer1", "infer64")


def cells_of(found: Mapping[str, Any], arms: Sequence[str], ways: Sequence[str]) -> list[str]:
    """Return the cells of these ways (``train``, ``infer1``, ...) that all arms were measured in."""
    first, *others = (found["cpu"][arm] for arm in arms)
    return [cell for cell in first if cell.split()[0] in ways and all(cell in other for other in others)]


def pairs_of(found: Mapping[str, Any], above: tuple[str, str], below: tuple[str, str]) -> list[tuple[float, float]]:
    """Pair the CPU seconds of two (arm, cell), round by round."""
    one, other = (found["cpu"][arm][cell] for arm, cell in (above, below))
    return list(zip(one, other, strict=True))


def ratios(
    found: Mapping[str, Any], above: str, below: str, ways: Sequence[str] = TRAIN, outcomes: int = 1
) -> tuple[ClaimReading, ...]:
    """Return the ratio of two arms in every cell that both have, each named ``ABOVE/BELOW CELL``."""
    return tuple(
        ratio(f"{above}/{below} {cell}", pairs_of(found, (above, cell), (below, cell)), outcomes)
        for cell in cells_of(found, (above, below), ways)
    )


def controls(found: Mapping[str, Any]) -> tuple[ClaimReading, ...]:
    """Return the ratios of arms to themselves: for each, training and predictions, over all networks together."""
    readings = []
    for arm, again in AGAIN.items():
        for way, ways in (("train", TRAIN), ("infer", INFER)):
            cells = cells_of(found, (arm, again), ways) if again in found["cpu"] else []
            if cells:
                pairs = together([pairs_of(found, (again, cell), (arm, cell)) for cell in cells])
                readings.append(ratio(f"{again}/{arm} {way}", pairs))
    return tuple(readings)


def of(readings: Sequence[ClaimReading], above: str, below: str) -> list[ClaimReading]:
    """Return the readings that :func:`ratios` made of two arms."""
    return [one for one in readings if one.name.startswith(f"{above}/{below} ")]


def span(readings: Sequence[ClaimReading]) -> str:
    """Return the lowest and the highest value as a text; a dash for no readings."""
    values = sorted(one.value for one in readings)
    if not values:
        return "-"
    low, high = f"{values[0]:.2f}", f"{values[-1]:.2f}"
    return low if low == high else f"{low}–{high}"

"""Finds inputs that are unlike all that the model was trained on: its answer to them means nothing."""

from __future__ import annotations

import numpy as np

from models.dataset import InputRange

MARGIN = 0.25
"""So much of its width a range may be left by."""


def unusual(row: np.ndarray, known: InputRange) -> str | None:
    """Say how a row is unlike all of the training data, and what to do; None if it is not."""
    low, high = float(row.min()), float(row.max())
    mean, spread = float(row.mean(dtype=np.float64)), float(row.std(dtype=np.float64))
    if not (_inside(low, known.values) and _inside(high, known.values)):
        return _told("values", f"{low:.3g} to {high:.3g}", known.values, "Scale them as the training data is.")
    if spread < known.spreads[0] / 2:
        drawn = "Is the picture empty, or dark on a transparent ground?"
        return _told("a standard deviation", f"{spread:.2g}", known.spreads, drawn)
    if not _inside(mean, known.means):
        inverted = _inside(sum(known.values) - mean, known.means)
        advice = "Invert it: light and dark are exchanged." if inverted else "Is it as bright as the training data?"
        return _told("a mean", f"{mean:.2g}", known.means, advice)
    return None


def _inside(value: float, range_: tuple[float, float]) -> bool:
    room = MARGIN * (range_[1] - range_[0])
    return range_[0] - room <= value <= range_[1] + room


def _told(what: str, received: str, known: tuple[float, float], advice: str) -> str:
    expected = f"expected {what} of {known[0]:.2g} to {known[1]:.2g}"
    return f"unlike all training data, its answer may mean nothing: {expected}. Received: {received}. {advice}"

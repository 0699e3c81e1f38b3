"""Joins the ratios of networks that were given TensorFlow's memory layout with those of networks that have no other."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.claims import ClaimReading


def same_layout(equal: Sequence[ClaimReading], plain: Sequence[ClaimReading]) -> list[ClaimReading]:
    """Return ``equal``, and of ``plain`` the networks that are not in it: they take no pictures, so no layout differs.

    Both hold readings named ``ABOVE/BELOW WAY NETWORK``. Nothing for no ``equal``: the layout was then not looked at.
    """
    pictures = {one.name.split()[-1] for one in equal}
    return [*equal, *(one for one in plain if pictures and one.name.split()[-1] not in pictures)]

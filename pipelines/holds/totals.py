"""Adds up what is counted in an artifact, in an order that depends on the names alone."""

from __future__ import annotations

from collections.abc import Iterable


def totals(amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Add the amounts of each name, sorted by name."""
    found: dict[str, int] = {}
    for name, amount in amounts:
        found[name] = found.get(name, 0) + amount
    return dict(sorted(found.items()))


def numbers_of(names: Iterable[str]) -> dict[str, int]:
    """Count how often each name occurs, sorted by name."""
    return totals((name, 1) for name in names)

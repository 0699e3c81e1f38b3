"""The look of a path in every plot: a colour, and a texture, a dash or a mark that tells paths of one colour apart.

A path's place among the paths decides; so many places (:data:`PLACES`) have a look of their own.
"""

from __future__ import annotations

COLOURS = 5
"""Colours of the page (``--c0`` ...) that stay apart in every common colour blindness; then textures take over."""
TEXTURES = ("", "/", "x", "-", "|", "+", ".", "\\")
DASHES = ("solid", "dash", "dot", "longdash", "dashdot", "longdashdot", "2px,6px", "12px,3px,2px,3px,2px,3px")
MARKS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "triangle-down", "star")
PLACES = COLOURS * len(TEXTURES)


def colour(place: int) -> str:
    """The colour of a path, as the page's style sheet names it."""
    return f"var(--c{place % COLOURS})"


def nth(place: int) -> int:
    """The number of the texture, dash or mark: how many places before this one have its colour."""
    return place // COLOURS % len(TEXTURES)


def texture(place: int) -> str:
    """The texture of a path's bars."""
    return TEXTURES[nth(place)]


def dash(number: int) -> str:
    """One dash of a line for each number."""
    return DASHES[number % len(DASHES)]


def mark(number: int) -> str:
    """One mark of a point for each number."""
    return MARKS[number % len(MARKS)]

"""Choose the look of a path in every plot: a colour, and a texture, dash or mark to distinguish paths of one colour.

The look depends on the number of the path; it repeats after :data:`PLACES` paths.
"""

from __future__ import annotations

COLOURS = 5
"""Colours of the page (``--c0`` ...) that differ in every common colour blindness; more paths need textures."""
TEXTURES = ("", "/", "x", "-", "|", "+", ".", "\\")
DASHES = ("solid", "dash", "dot", "longdash", "dashdot", "longdashdot", "2px,6px", "12px,3px,2px,3px,2px,3px")
MARKS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "triangle-down", "star")
PLACES = COLOURS * len(TEXTURES)


def colour(place: int) -> str:
    """Return the colour of a path, as named in the page's style sheet."""
    return f"var(--c{place % COLOURS})"


def nth(place: int) -> int:
    """Return the number of the texture, dash or mark: the number of earlier paths of this colour."""
    return place // COLOURS % len(TEXTURES)


def texture(place: int) -> str:
    """Return the texture of a path's bars."""
    return TEXTURES[nth(place)]


def dash(number: int) -> str:
    """Return the dash of a line with this number."""
    return DASHES[number % len(DASHES)]


def mark(number: int) -> str:
    """Return the mark of a point with this number."""
    return MARKS[number % len(MARKS)]

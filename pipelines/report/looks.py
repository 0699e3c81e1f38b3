"""Choose the look of a path in every plot: a colour, and a texture or a mark.

The look depends on the number of the path; it repeats after :data:`PLACES` paths.
"""

from __future__ import annotations

COLOURS = 20
"""Colours of the page (``--c0`` ...): no two paths share one up to this number.

Each has a contrast of 3 or more to the panel. Any two are 0.118 or more apart in OKLab, in the light and in the dark
scheme. Five that follow each other also differ in the common colour blindnesses (0.068 or more apart, by the matrices
of Machado et al., 2009); the next five have another texture and mark.
"""
FIVE = 5
TEXTURES = ("", "/", "x", "-", "|", "+", ".", "\\")
DASHES = (
    "solid",
    "8px,5px",
    "2px,4px",
    "14px,5px",
    "9px,4px,2px,4px",
    "16px,4px,2px,4px",
    "2px,8px",
    "12px,3px,2px,3px,2px,3px",
)
"""Dashes of lines of one colour, which page.js gives to the lines that are drawn."""
MARKS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "triangle-down", "star")
PLACES = FIVE * len(TEXTURES)


def colour(place: int) -> str:
    """Return the colour of a path, as named in the page's style sheet."""
    return f"var(--c{place % COLOURS})"


def nth(place: int) -> int:
    """Return the number of a path's texture and mark: that of its five."""
    return place // FIVE % len(TEXTURES)


def texture(place: int) -> str:
    """Return the texture of a path's bars."""
    return TEXTURES[nth(place)]


def mark(number: int) -> str:
    """Return the mark of a point with this number."""
    return MARKS[number % len(MARKS)]

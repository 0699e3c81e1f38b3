"""The colours of the page, as its style sheet has them: told apart, and seen on the panel."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from pipelines.report import looks
from pipelines.report.html_face import HERE

CSS = (HERE / "page.css").read_text()
LIGHT, DARK = (part for part in re.findall(r"{[^{}]*--c0:[^{}]*}", CSS))
# Ottosson, "A perceptual color space for image processing" (2020): linear sRGB to LMS, and its cube roots to OKLab.
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# Machado, Oliveira, Fernandes (2009), severity 1, on linear sRGB.
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def linear(css: str, name: str) -> np.ndarray:
    """A colour of a part of the style sheet as linear sRGB, shape (3,)."""
    (found,) = re.findall(rf"--{name}: #([0-9a-f]{{6}});", css)
    value = np.array([int(found[at : at + 2], 16) for at in (0, 2, 4)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def least_distance(colours: np.ndarray) -> float:
    """The least distance of any two colours, linear sRGB of shape (N, 3), in OKLab."""
    lab = np.cbrt(np.clip(colours, 0, 1) @ TO_LMS.T) @ TO_LAB.T
    return min(float(np.linalg.norm(one - other)) for one, other in itertools.combinations(lab, 2))


@pytest.mark.parametrize("css", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_are_told_apart_and_seen(css: str) -> None:
    colours = np.array([linear(css, f"c{place}") for place in range(looks.COLOURS)])
    assert f"--c{looks.COLOURS}:" not in css
    assert least_distance(colours) >= 0.118
    for matrix in BLINDNESS.values():
        for first in range(0, looks.COLOURS, looks.FIVE):
            assert least_distance(colours[first : first + looks.FIVE] @ np.array(matrix).T) >= 0.068
    light = np.append(colours, [linear(css, "panel")], 0) @ [0.2126, 0.7152, 0.0722] + 0.05  # WCAG 2
    contrast = np.maximum(light[:-1], light[-1]) / np.minimum(light[:-1], light[-1])
    assert contrast.min() >= 2.995  # 3, as WCAG rounds it


def test_no_two_paths_look_alike() -> None:
    assert len({looks.colour(place) for place in range(looks.COLOURS)}) == looks.COLOURS
    assert len({(looks.colour(place), looks.texture(place)) for place in range(looks.PLACES)}) == looks.PLACES
    assert len({(looks.colour(place), looks.mark(looks.nth(place))) for place in range(looks.PLACES)}) == looks.PLACES
    assert len(set(looks.DASHES)) == len(looks.DASHES)

"""Says what can become of a user's file: which variants of which paths, by which forms, and why not the others.

This is said before anything is converted, from the kind of the file and its operators. A conversion may still fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from models.files import FileFacts
from models.files.shapes import can_be_freed
from models.spec import BATCH
from pipelines.paths import PATHS, Card, Variant, path_module
from pipelines.paths.limits import LIMITS

BECOMES: Mapping[str, Mapping[str, str]] = {
    "keras": {
        "keras": "keras",
        "torch": "keras -> torch, on Keras's torch backend",
        "saved_model": "keras -> saved_model",
        "onnx": "keras -> saved_model -> onnx, by tf2onnx",
    },
    "saved_model": {"keras": "saved_model", "saved_model": "saved_model", "onnx": "saved_model -> onnx, by tf2onnx"},
    "pt2": {"torch": "pt2"},
    "onnx": {"onnx": "onnx"},
}
"""Maps the kind of a file to the forms that it can be had in, and how each comes about: models.files.model.MAKERS."""
CALIBRATED = "int8"
FIXED = "the file fixes the number of rows: a run frees it, if the model takes other numbers"
NO_TEXTS = "takes numbers, and an input is texts"
SOME_TEXTS = "needs some texts: --inputs, or values with --spec"
NO_WAY = {
    "keras": "no way from a .keras file",
    "saved_model": "made from PyTorch's form, which a SavedModel cannot be had in",
    "pt2": "made from TensorFlow's form, which a .pt2 file cannot be had in",
    "onnx": "made from a framework's own form, which an ONNX file cannot be had in",
}


@dataclass(frozen=True, slots=True)
class Prospect:
    """One variant of a path for a file: possible or not, by which forms, and what is to be known about it."""

    name: str
    possible: bool
    way: str | None
    notes: tuple[str, ...] = ()


def prospects(facts: FileFacts) -> list[Prospect]:
    """Tell for every variant of every path what can become of a file."""
    cards = [path_module(name).CARD for name in PATHS]
    return [_prospect(facts, card, name, variant) for card in cards for name, variant in card.variants.items()]


def _prospect(facts: FileFacts, card: Card, name: str, variant: Variant) -> Prospect:
    """Tell of the ways that a run tries, by the forms of the variant, and what holds for all of them."""
    ways = [BECOMES[facts.kind][form] for form in variant.forms if form in BECOMES[facts.kind]]
    if not ways:
        return Prospect(f"{card.name}:{name}", False, None, (NO_WAY[facts.kind],))
    found = [_by(way, facts, card, name, variant) for way in ways]
    possible = [one for one in found if one.possible]
    if not possible:
        return found[0]
    always = tuple(note for note in possible[0].notes if all(note in one.notes for one in possible))
    different = dict.fromkeys(one.way or "" for one in possible)  # two forms may be the file itself
    return replace(possible[0], way=", or ".join(different), notes=always)


def _by(way: str, facts: FileFacts, card: Card, name: str, variant: Variant) -> Prospect:
    title = f"{card.name}:{name}"
    fixed = facts.batch is not None
    if fixed and not can_be_freed(facts):
        return Prospect(title, False, way, (f"the file fixes the number of rows: {facts.batch}",))
    fixing = [tensor.name for tensor in facts.inputs if tensor.shape[:1] != (BATCH,)]
    if fixing and not fixed:
        return Prospect(title, False, way, (f"the first dimension of {', '.join(fixing)} is not that of the rows",))
    texts = any(tensor.dtype == "str" for tensor in facts.inputs)
    if texts and not variant.texts:
        return Prospect(title, False, way, (NO_TEXTS,))
    found = [limit for limit in LIMITS if limit.path in (None, card.name, title) and limit.applies(facts, way)]
    refused = tuple(limit.reason for limit in found if limit.prevents)
    notes = (
        *(limit.reason for limit in found),
        *_needs(variant),
        *((FIXED,) if fixed else ()),
        *((SOME_TEXTS,) if texts else ()),
    )
    return Prospect(title, not refused, way, refused or notes)


def _needs(variant: Variant) -> Iterator[str]:
    if variant.precision.startswith(CALIBRATED):
        yield "needs --inputs, to calibrate with and to judge by"

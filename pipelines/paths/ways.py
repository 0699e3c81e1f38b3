"""Says what can become of a user's file: which variants of which paths, by which forms, and why not the others.

This is said before anything is converted, from the kind of the file and its operators. A conversion may still fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from models.files import FileFacts
from pipelines.paths import PATHS, Card, Variant, path_module
from pipelines.paths.limits import LIMITS

BECOMES: Mapping[str, Mapping[str, str]] = {
    "keras": {
        "keras": "keras",
        "saved_model": "keras -> saved_model",
        "torch": "keras -> torch, on Keras's torch backend",
    },
    "saved_model": {"saved_model": "saved_model", "onnx": "saved_model -> onnx, by tf2onnx"},
    "pt2": {"torch": "pt2", "pt2": "pt2"},
    "onnx": {"onnx": "onnx"},
}
"""Maps the kind of a file to the forms that it can be had in, and how each comes about."""
SERVES_FOR = {"keras": ("keras", "saved_model"), "torch": ("torch",)}
"""Maps the form that a variant is made from to the forms that its converter takes in that place."""
READS_ITSELF = {"onnxruntime": ("onnx",), "openvino": ("saved_model", "onnx")}
"""Maps a library that a variant requires to the forms that it reads by itself."""
FROM_TENSORFLOW = "tf2onnx"
CALIBRATED = "int8"
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
    """Choose the way that is possible and has the fewest limits; the variant's own form comes first."""
    ways = (BECOMES[facts.kind][form] for form in _forms(variant) if form in BECOMES[facts.kind])
    found = [_by(way, facts, card, name, variant) for way in ways]
    nowhere = Prospect(f"{card.name}:{name}", False, None, (NO_WAY[facts.kind],))
    return min(found, key=lambda one: (not one.possible, len(one.notes)), default=nowhere)


def _by(way: str, facts: FileFacts, card: Card, name: str, variant: Variant) -> Prospect:
    title = f"{card.name}:{name}"
    found = [limit for limit in LIMITS if limit.path in (None, card.name, title) and limit.applies(facts, way)]
    refused = tuple(limit.reason for limit in found if limit.prevents)
    notes = (*(limit.reason for limit in found), *_needs(facts, variant))
    return Prospect(title, not refused, way, refused or notes)


def _forms(variant: Variant) -> Iterator[str]:
    """Yield the forms that a variant can be made from, its own first."""
    yield from SERVES_FOR.get(variant.takes, (variant.takes,))
    for library, forms in READS_ITSELF.items():
        # One that comes from TensorFlow by a converter to ONNX is that conversion.
        if library in variant.requires and FROM_TENSORFLOW not in variant.requires:
            yield from forms


def _needs(facts: FileFacts, variant: Variant) -> Iterator[str]:
    if variant.precision == CALIBRATED:
        yield "needs --inputs, to calibrate with"
    if facts.batch is not None:
        yield f"takes {facts.batch} row{'s' if facts.batch > 1 else ''} a call, as the file does"

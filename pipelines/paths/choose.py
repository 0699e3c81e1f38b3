"""Chooses the variants of paths that a command is about, from ``PATH`` and ``PATH:VARIANT`` words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.base.errors import unknown
from pipelines.paths import PATHS, Card, Variant, path_module


@dataclass(frozen=True, slots=True)
class Choice:
    """One variant of one path."""

    card: Card
    variant: str

    @property
    def name(self) -> str:
        return f"{self.card.name}:{self.variant}"

    @property
    def chosen(self) -> Variant:
        """The variant's own facts: its framework, requirements and tolerance."""
        return self.card.variants[self.variant]


def choose(words: Iterable[str]) -> list[Choice]:
    """List every variant that the words name, in order and once; without words, all variants of all paths.

    ``PATH`` stands for all its variants. Raises UserError for an unknown name, with the nearest ones.
    """
    chosen: dict[str, Choice] = {}
    for word in list(words) or list(PATHS):
        path, _, variant = word.partition(":")
        card = path_module(path).CARD
        for name in [_variant(card, variant)] if variant else list(card.variants):
            choice = Choice(card, name)
            chosen[choice.name] = choice
    return list(chosen.values())


def choose_one(word: str) -> Choice:
    """Return the variant that ``PATH:VARIANT`` names; the default one for ``PATH``."""
    path, _, variant = word.partition(":")
    card = path_module(path).CARD
    return Choice(card, _variant(card, variant) if variant else next(iter(card.variants)))


def _variant(card: Card, name: str) -> str:
    if name not in card.variants:
        raise unknown(f"variant of {card.name}", name, card.variants)
    return name

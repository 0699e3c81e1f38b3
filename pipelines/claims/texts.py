"""The catalogue of texts: every sentence about the claims, in English and in Chinese (``texts.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.claims import Verdict

LANGUAGES = ("en", "zh")
FILE = Path(__file__).parent / "texts.toml"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in every language."""

    en: str
    zh: str

    def filled(self, values: Mapping[str, Any]) -> Text:
        """Put values into its places. Raises KeyError for a place without a value."""
        return Text(self.en.format(**values), self.zh.format(**values))


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of a claim.

    ``original`` are the article's own words; ``sentence`` says them in one sentence. ``rule`` is what was fixed
    before measuring; ``confounds`` what else could explain the number; ``changes`` what would change the verdict.
    ``verdicts`` maps a verdict's key to its sentence.
    """

    original: str
    sentence: Text
    rule: Text
    confounds: Text
    changes: Text
    verdicts: Mapping[str, Text]

    def says(self, verdict: Verdict) -> Text:
        """Return the sentence of a verdict. Raises KeyError if the catalogue has none for it."""
        return self.verdicts[verdict.key].filled(verdict.values)


@cache
def catalogue() -> Mapping[str, Words]:
    """Read the sentences of all claims, by id."""
    return {name: _words(entry) for name, entry in _content().items() if name != "page"}


@cache
def page() -> Mapping[str, Text]:
    """Read the words of the page itself, by name."""
    return {name: Text(**text) for name, text in _content()["page"].items()}


def _content() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def _words(entry: Mapping[str, Any]) -> Words:
    texts = {name: Text(**entry[name]) for name in ("sentence", "rule", "confounds", "changes")}
    return Words(entry["original"], verdicts={key: Text(**one) for key, one in entry["verdicts"].items()}, **texts)

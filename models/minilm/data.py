"""Loads sentences that were written for this project: paraphrases to judge the vectors by, and others to calibrate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.dataset import Dataset, Split
from models.minilm import SPEC
from models.text import Tokenizer

HERE = Path(__file__).parent


def pairs() -> list[tuple[str, str]]:
    """Return pairs of sentences that mean the same in other words; a sentence shares more words with other pairs."""
    lines = (HERE / "pairs.txt").read_text(encoding="utf-8").splitlines()
    return [(first, second) for first, second in (line.split(" | ") for line in lines)]


def others() -> list[str]:
    """Return sentences of 3 to about 60 words, none of which is in a pair."""
    return (HERE / "others.txt").read_text(encoding="utf-8").splitlines()


def load(tokenizer: bytes) -> Split:
    """Return the sentences as tokens: int64 ``input_ids`` and ``attention_mask`` (N, L), padded together.

    ``test`` holds the pairs; its labels, int64 (N,), are the pairs' numbers. ``train`` has none. ``tokenizer`` is the
    content of the file of that name. Raises ImportError when tokenizers is not installed.
    """
    assert SPEC.text is not None  # noqa: S101 - it is in the spec
    encode, test = Tokenizer(tokenizer, SPEC.text).encode, pairs()
    return Split(
        train=Dataset(encode(others())),
        test=Dataset(encode([text for pair in test for text in pair]), np.arange(len(test)).repeat(2)),
    )

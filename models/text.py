"""Turns texts into a model's inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from models.spec import TextPreprocessing

if TYPE_CHECKING:
    from models.model import KeptModel

Encode = Callable[[Sequence[str]], dict[str, np.ndarray]]


def encoder(model: KeptModel) -> Encode | None:
    """Return what turns texts into the inputs of a model; None for a model that takes none.

    Raises ImportError if a library is missing.
    """
    spec = model.spec
    if spec.text is not None:
        return Tokenizer(model.file(spec.text.tokenizer), spec.text).encode
    raw = spec.raw_text
    if raw is None:
        return None
    shape = (-1, *(1 for _ in raw.shape[1:]))
    return lambda texts: {raw.name: np.array(list(texts), dtype="str").reshape(shape)}


class Tokenizer:
    """Divides texts into numbered parts of words."""

    def __init__(self, content: bytes, rule: TextPreprocessing) -> None:
        """Read the content of a rule's file. Raises ImportError when tokenizers is not installed."""
        import tokenizers

        self._tokenizer = tokenizers.Tokenizer.from_str(content.decode())
        # Published files tend to pad and to cut each text to one length.
        self._tokenizer.enable_padding(pad_id=rule.pad, pad_token=self._tokenizer.id_to_token(rule.pad))
        self._tokenizer.enable_truncation(rule.max_tokens)

    def encode(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Return int64 ``input_ids`` and ``attention_mask`` (N, L) of one text or more, L the longest one's length."""
        found = self._tokenizer.encode_batch(list(texts))
        return {
            "input_ids": np.array([one.ids for one in found], np.int64),
            "attention_mask": np.array([one.attention_mask for one in found], np.int64),
        }

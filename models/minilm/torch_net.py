"""Builds the network in PyTorch: BERT's encoder with 6 layers, and the mean of its tokens as a unit vector.

Sizes: config.json and 1_Pooling/config.json of sentence-transformers/all-MiniLM-L6-v2.
"""

from __future__ import annotations

import torch
from torch import nn

WORDS, POSITIONS, SIZE, HEADS, INNER, LAYERS = 30_522, 512, 384, 12, 1536, 6
EPSILON = 1e-12
HIDDEN = -1e4
"""Is added to the scores of padding: its weight is then exactly 0, and float16 (up to 65,504) can hold the number."""


class EncoderLayer(nn.Module):
    """Maps float32 (N, L, 384), and what is to be added to scores, (N, 1, 1, L), to float32 (N, L, 384)."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.joined = (nn.Linear(SIZE, SIZE) for _ in range(4))
        self.attention_norm = nn.LayerNorm(SIZE, eps=EPSILON)
        self.wide = nn.Linear(SIZE, INNER)
        self.narrow = nn.Linear(INNER, SIZE)
        self.norm = nn.LayerNorm(SIZE, eps=EPSILON)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            dense(x).unflatten(2, (HEADS, SIZE // HEADS)).transpose(1, 2)
            for dense in (self.query, self.key, self.value)
        )
        seen = nn.functional.scaled_dot_product_attention(query, key, value, hidden)
        x = self.attention_norm(x + self.joined(seen.transpose(1, 2).flatten(2)))
        return self.norm(x + self.narrow(nn.functional.gelu(self.wide(x))))


class SentenceEncoder(nn.Module):
    """Maps int64 token numbers and mask (N, L), 1 for a token and 0 for padding, to float32 unit vectors (N, 384)."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, SIZE)
        self.positions = nn.Embedding(POSITIONS, SIZE)
        self.norm = nn.LayerNorm(SIZE, eps=EPSILON)
        self.layers = nn.ModuleList(EncoderLayer() for _ in range(LAYERS))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        kept = attention_mask.to(self.words.weight.dtype)
        hidden = ((1 - kept) * HIDDEN).unsqueeze(1).unsqueeze(1)
        x = self.norm(self.words(input_ids) + self.positions.weight[: input_ids.shape[1]])
        for layer in self.layers:
            x = layer(x, hidden)
        kept = kept.unsqueeze(2)
        return nn.functional.normalize((x * kept).sum(1) / kept.sum(1))


def build() -> nn.Module:
    """Build the network with fresh weights, in training mode."""
    return SentenceEncoder()

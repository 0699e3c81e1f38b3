"""Builds the measured networks in PyTorch. Layers have the names of those in Keras."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from pipelines.claims.experiments.nets.shapes import (
    BLOCKS,
    CLASSES,
    FAMILY,
    HEADS,
    INNER,
    INPUTS,
    NORM_EPSILON,
    NORM_MOMENTUM,
    SIZE,
    STAGES,
    TOKENS,
)


class NormedConv(nn.Module):
    """Convolves float32 (N, C, H, W) by 3x3 at the same size, normalises over the batch and rectifies."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 3, padding=1)
        self.bn = nn.BatchNorm2d(outside, NORM_EPSILON, NORM_MOMENTUM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.bn(self.conv(x)))


class WidthNet(nn.Module):
    """Maps pictures (N, 3, 16, 16) to logits (N, 10): one of the family."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = NormedConv(3, width), NormedConv(width, width)
        self.third, self.fourth = NormedConv(width, 2 * width), NormedConv(2 * width, 2 * width)
        self.classifier = nn.Linear(2 * width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.second(self.first(x)), 2)
        return self.classifier(self.fourth(self.third(x)).mean((2, 3)))


class ResidualStage(nn.Module):
    """Changes the channels of (N, C, H, W), adds a residual, and halves the size."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.change, self.inner = NormedConv(inside, outside), NormedConv(outside, outside)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.change(x)
        return nn.functional.max_pool2d(x + self.inner(x), 2)


class ResidualNet(nn.Module):
    """Maps pictures (N, 3, 32, 32) to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        pairs = zip((3, *STAGES), STAGES, strict=False)
        self.stages = nn.ModuleList(ResidualStage(inside, outside) for inside, outside in pairs)
        self.classifier = nn.Linear(STAGES[-1], CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for stage in self.stages:
            x = stage(x)
        return self.classifier(x.mean((2, 3)))


class AttentionBlock(nn.Module):
    """Maps float32 (N, L, SIZE) to the same shape: attention, then two dense layers, each with a norm after it."""

    def __init__(self) -> None:
        super().__init__()
        parts = OrderedDict((name, nn.Linear(SIZE, SIZE)) for name in ("query", "key", "value", "joined"))
        for name, part in parts.items():
            setattr(self, name, part)
        self.attention_norm, self.norm = nn.LayerNorm(SIZE, NORM_EPSILON), nn.LayerNorm(SIZE, NORM_EPSILON)
        self.wide, self.narrow = nn.Linear(SIZE, INNER), nn.Linear(INNER, SIZE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            dense(x).unflatten(2, (HEADS, SIZE // HEADS)).transpose(1, 2)
            for dense in (self.query, self.key, self.value)
        )
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        x = self.attention_norm(x + self.joined(seen.transpose(1, 2).flatten(2)))
        return self.norm(x + self.narrow(nn.functional.gelu(self.wide(x))))


class Transformer(nn.Module):
    """Maps token numbers (N, 32) to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(TOKENS, SIZE), nn.Embedding(INPUTS["transformer"][0], SIZE)
        self.blocks = nn.ModuleList(AttentionBlock() for _ in range(BLOCKS))
        self.classifier = nn.Linear(SIZE, CLASSES)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.words(ids) + self.places.weight
        for block in self.blocks:
            x = block(x)
        return self.classifier(x.mean(1))


def build(net: str) -> nn.Module:
    """Build a network by name, in training mode; dropout, which is random, is turned off."""
    if net in FAMILY:
        return WidthNet(FAMILY[net])
    if net == "residual_cnn":
        return ResidualNet()
    if net == "transformer":
        return Transformer()
    from models.mnist_cnn.torch_net import DigitNet

    found = DigitNet()
    found.dropout.p = 0.0
    return found

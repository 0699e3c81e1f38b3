"""Builds the network in PyTorch."""

from __future__ import annotations

import torch
from torch import nn


class DigitNet(nn.Module):
    """Maps float32 images (N, 28, 28) in 0..1 to float32 logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16, eps=1e-3)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32, eps=1e-3)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(64, eps=1e-3)
        self.dropout = nn.Dropout(0.3)
        self.classifier = nn.Linear(7 * 7 * 64, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = image.unsqueeze(1)
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = nn.functional.max_pool2d(torch.relu(self.bn2(self.conv2(x))), 2)
        x = torch.relu(self.bn3(self.conv3(x)))
        # Keras flattens with the channels last; both networks share one set of weights.
        return self.classifier(self.dropout(x.permute(0, 2, 3, 1).flatten(1)))


def build() -> nn.Module:
    """Build the network with fresh weights, in training mode."""
    return DigitNet()

"""Programs that torch.export makes, as users have them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim

BATCH = Dim("batch", min=1, max=256)
Made = tuple[nn.Module, tuple[Any, ...], tuple[Any, ...]]


class Residual(nn.Module):
    """A small residual network."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, padding=1)
        self.normal, self.last = nn.BatchNorm2d(16), nn.Linear(16, 10)

    def forward(self, picture: Any) -> Any:
        hidden = torch.relu(self.first(picture))
        hidden = torch.relu(hidden + self.normal(self.inner(hidden)))
        return self.last(hidden.mean((2, 3)))


class Encoder(nn.Module):
    """An encoder of PyTorch's own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(100, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.layers, self.last = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(32, 4)

    def forward(self, ids: Any) -> Any:
        return self.last(self.layers(self.table(ids)).mean(1))


class Recurrent(nn.Module):
    """An LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.last = nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, values: Any) -> Any:
        return self.last(self.inner(values)[0][:, -1])


class Choice(nn.Module):
    """A condition on data, by torch.cond: what is out of range goes another way."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, values: Any) -> Any:
        return torch.cond(values.abs().max() < 10, self.one, self.other, (values,))


class TwoInputs(nn.Module):
    """Two inputs, and a mapping of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(12, 5)

    def forward(self, left: Any, right: Any) -> Any:
        both = torch.cat([left, right], 1)
        return {"scores": self.last(both), "total": both.sum(1, keepdim=True)}


MODELS: dict[str, Callable[[], Made]] = {
    "residual": lambda: (Residual(), (torch.rand(2, 3, 32, 32),), ({0: BATCH},)),
    "encoder": lambda: (
        Encoder(),
        (torch.randint(0, 100, (2, 12)),),
        ({0: BATCH, 1: Dim("length", min=2, max=64)},),
    ),
    "recurrent": lambda: (Recurrent(), (torch.rand(2, 12, 6),), ({0: BATCH},)),
    "choice": lambda: (Choice(), (torch.rand(2, 8),), ({0: BATCH},)),
    "two_inputs": lambda: (TwoInputs(), (torch.rand(2, 8), torch.rand(2, 4)), ({0: BATCH}, {0: BATCH})),
}


def main(folder: Path) -> None:
    for name, make in MODELS.items():
        torch.manual_seed(3)
        module, example, shapes = make()
        module.train()
        with torch.no_grad():
            for _ in range(3):  # statistics of normalisation that are not zeros and ones
                module(*example)
            program = torch.export.export(module.eval(), example, dynamic_shapes=shapes)
        torch.export.save(program, folder / f"{name}.pt2")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

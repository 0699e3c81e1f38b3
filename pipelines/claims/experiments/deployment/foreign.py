"""Small PyTorch networks that slipway does not ship: each has something that exporters stumble over.

The functions run in a process that has torch; this module imports it inside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class Foreign:
    """One network: ``build`` makes it with fresh weights; ``inputs(rows)`` draws inputs, dimension 0 the batch."""

    says: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], tuple[torch.Tensor, ...]]


def _normal(*shape: int) -> Callable[[int], tuple[torch.Tensor, ...]]:
    def inputs(rows: int) -> tuple[torch.Tensor, ...]:
        import torch

        return (torch.randn(rows, *shape),)

    return inputs


def _residual() -> nn.Module:
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
            self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
            self.head = nn.Linear(8, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x)
            x = nn.functional.relu(x + self.body(x))
            return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))

    return Residual()


def _transformer() -> nn.Module:
    from torch import nn

    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def _lstm() -> nn.Module:
    from torch import nn

    class Lstm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTM(8, 12, num_layers=2, batch_first=True), nn.Linear(12, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            states, _ = self.cell(x)
            return self.head(states[:, -1])

    return Lstm()


def _two() -> nn.Module:
    import torch
    from torch import nn

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(4, 6), nn.Linear(3, 6)

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            a, b = self.left(left), self.right(right)
            return torch.cat([a, b], 1), (a * b).sum(1)

    return Two()


def _two_inputs(rows: int) -> tuple[torch.Tensor, ...]:
    import torch

    return torch.randn(rows, 4), torch.randn(rows, 3)


def _branch() -> nn.Module:
    import torch
    from torch import nn

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cond(x.sum() > 0, lambda v: self.first(v), lambda v: self.second(v) * 3, (x,))

    return Branch()


def _signed(rows: int) -> tuple[torch.Tensor, ...]:
    """Draw inputs whose sum is positive for an even number of rows, and negative for an odd one."""
    import torch

    return (torch.rand(rows, 4).add(0.1) * (1 if rows % 2 == 0 else -1),)


def _embedding() -> nn.Module:
    import torch
    from torch import nn

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(50, 8), nn.Linear(8, 4)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            kept = (ids > 0).unsqueeze(2).to(torch.float32)
            return self.head((self.table(ids) * kept).sum(1) / kept.sum(1).clamp(min=1))

    return Pooled()


def _ids(rows: int) -> tuple[torch.Tensor, ...]:
    import torch

    return (torch.randint(0, 50, (rows, 6)),)


def _unet() -> nn.Module:
    import torch
    from torch import nn

    class Unet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ConvTranspose2d(4, 4, 2, stride=2)
            self.out = nn.Conv2d(9, 1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            low = nn.functional.gelu(self.down(x))
            wide = nn.functional.interpolate(low, scale_factor=2.0, mode="bilinear", align_corners=False)
            return self.out(torch.cat([x, self.up(low), wide], 1))

    return Unet()


def _attention() -> nn.Module:
    from torch import nn

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixed = nn.Linear(8, 24)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            q, k, v = self.mixed(x).chunk(3, dim=2)
            return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask.unsqueeze(1))

    return Masked()


def _masked(rows: int) -> tuple[torch.Tensor, ...]:
    import torch

    mask = torch.rand(rows, 5) > 0.4
    mask[:, 0] = True
    return torch.randn(rows, 5, 8), mask


def _spectrum() -> nn.Module:
    import torch
    from torch import nn

    class Spectrum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(9, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.log1p(torch.fft.rfft(x).abs()))

    return Spectrum()


def _select() -> nn.Module:
    from torch import nn

    class Select(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x[x[:, 0] > 0])

    return Select()


def _some_positive(rows: int) -> tuple[torch.Tensor, ...]:
    import torch

    x = torch.randn(rows, 4)
    x[0, 0], x[-1, 0] = -1.0, 1.0
    return (x,)


FOREIGN: Mapping[str, Foreign] = {
    "residual": Foreign("convolutions, batch normalisation and a shortcut", _residual, _normal(3, 12, 12)),
    "branch": Foreign("torch.cond on the sum of the input", _branch, _signed),
    "lstm": Foreign("two layers of LSTM", _lstm, _normal(9, 8)),
    "embedding": Foreign("integer inputs, an embedding, a mean over those that are not padding", _embedding, _ids),
    "transformer": Foreign("nn.TransformerEncoder", _transformer, _normal(7, 16)),
    "two": Foreign("two inputs and two outputs", _two, _two_inputs),
    "unet": Foreign("transposed convolution and bilinear interpolation", _unet, _normal(1, 8, 8)),
    "attention": Foreign("attention with a mask of truth values", _attention, _masked),
    "spectrum": Foreign("a Fourier transform of real values", _spectrum, _normal(16)),
    "select": Foreign(
        "as many rows in the output as the input has with a positive first value", _select, _some_positive
    ),
}
"""The networks, those first that a short measurement takes."""


def build(name: str, seed: int) -> Any:
    """Return a network in evaluation mode; the seed decides its weights, and the inputs that are drawn afterwards."""
    import torch

    torch.manual_seed(seed)
    return FOREIGN[name].build().eval()

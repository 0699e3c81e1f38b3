"""The models of ``changing`` in PyTorch, eager: plain Python around tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.claims.experiments.behaviour.changing import CHANGING, WEIGHT, check


class Changeable(nn.Module):
    """One weight, shared by all layers; ``layers`` grows; ``turns`` counts how often Python ran ``forward``."""

    def __init__(self, body: Callable[[Any, Any], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(WEIGHT))
        self.layers: list[Callable[[Tensor], Tensor]] = []
        self.body, self.turns = body, 0

    def forward(self, given: Any) -> Tensor:
        self.turns += 1
        return self.body(self, given)


def _depth(net: Changeable, given: float) -> Tensor:
    x = torch.tensor(given)
    for _ in range(int(x)):
        x = x * net.weight
    return x


def _branch(net: Changeable, given: float) -> Tensor:
    x = torch.tensor(given)
    if x * net.weight > 3:
        return x * net.weight * net.weight
    return x - net.weight


def _tree(net: Changeable, given: Any) -> Tensor:
    if isinstance(given, list):
        left, right = (_tree(net, part) for part in given)
        return net.weight * (left + right)
    return torch.tensor(given)


def _grown(net: Changeable, given: float) -> Tensor:  # noqa: ARG001
    net.layers.append(lambda x: x * net.weight)
    x = torch.tensor(2.0)
    for layer in net.layers:
        x = layer(x)
    return x


BODIES = dict(zip(CHANGING, (_depth, _branch, _tree, _grown), strict=True))


def changing() -> dict[str, Any]:
    """Check every model: {name: {"right", ..., "turns"}}."""
    torch.set_num_threads(1)
    return {name: _checked(name) for name in BODIES}


def _checked(name: str) -> dict[str, Any]:
    net = Changeable(BODIES[name])

    def ask(given: Any) -> tuple[float, float]:
        net.zero_grad()
        answer = net(given)
        answer.backward()
        assert net.weight.grad is not None  # noqa: S101 - every model uses its weight
        return answer.item(), net.weight.grad.item()

    return {**check(name, ask), "turns": net.turns}

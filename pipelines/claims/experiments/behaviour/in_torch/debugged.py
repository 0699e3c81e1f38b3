"""A user's program in PyTorch that prints, stops, and makes mistakes in marked lines; and the modes it runs in."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor

from pipelines.claims.experiments.behaviour.debugging import Call, Wrap, probe_all
from pipelines.paths.inductor import own_cache, require_compiler

TABLE = torch.arange(5.0)


def prints(x: Tensor) -> Tensor:
    hidden = x * 2 + 1
    print("hidden", hidden)
    return hidden.sum()


def stops(x: Tensor) -> Tensor:
    hidden = x * 2 + 1
    breakpoint()
    return hidden.sum()


def mistake_shape(x: Tensor) -> Tensor:
    hidden = x * 2 + 1
    wrong = hidden @ TABLE  # mark:shape
    return wrong + 1


def mistake_index(x: Tensor) -> Tensor:
    index = (x * 2 + 5).to(torch.int64)
    wrong = TABLE[index]  # mark:index
    return wrong + 1


def _eager(function: Any) -> Call:
    return lambda values: function(torch.tensor(values))


def _compiled(backend: str) -> Wrap:
    def wrap(function: Any) -> Call:
        torch._dynamo.reset()
        compiled = torch.compile(function, backend=backend)
        return lambda values: compiled(torch.tensor(values)).item()

    return wrap


def debugged(backend: str) -> dict[str, Any]:
    """Probe every mode of PyTorch. Raises NotPossible if there is no C++ compiler."""
    require_compiler()
    with own_cache():
        return probe_all(sys.modules[__name__], {"PyTorch eager": _eager, "torch.compile": _compiled(backend)})

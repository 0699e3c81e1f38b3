"""Runs a measured network in PyTorch: eager, with its memory laid out channels last, or compiled."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models import weights
from pipelines.claims.experiments.nets.shapes import (
    BATCHES,
    MOMENTUM,
    RATE,
    StepTrial,
    drawn,
    inputs,
    labels,
)

if TYPE_CHECKING:
    import torch

BACKENDS = {"torch-compile": "inductor", "torch-aot": "aot_eager_decomp_partition"}
"""Arms that compile, and torch.compile's backend: the default, or AOTAutograd with its partitioner and no compiler."""


def start(cache: str | None = None) -> None:
    """Use one compute thread, and compile in this process, with ``cache`` as the folder of what was compiled before.

    Without it, the compiler begins with an empty folder below TMPDIR. It is always named: the import of PyTorch's
    compiler names one that all programs share.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache or str(Path(tempfile.gettempdir(), "inductor"))
    import torch
    import torch._inductor.config

    torch._inductor.config.compile_threads = 1
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)


def trial(arm: str, net: str, batch: int, calls: Sequence[str], seed: int) -> StepTrial:
    """Make a network ready for training steps of ``batch`` rows and for ``calls``: ``infer64`` predicts 64 rows."""
    import torch

    from pipelines.claims.experiments.nets import torch_nets

    module = torch_nets.build(net)
    weights.into_torch(drawn(weights.from_torch(module)), module)
    last = arm == "torch-channels-last"
    if last:
        module = module.to(memory_format=torch.channels_last)
    model = torch.compile(module, backend=BACKENDS[arm]) if arm in BACKENDS else module
    optimizer = torch.optim.SGD(module.parameters(), RATE, MOMENTUM)
    data = [
        (_tensor(inputs(net, batch, seed + n), last), torch.from_numpy(labels(batch, seed + n))) for n in range(BATCHES)
    ]

    def step(number: int) -> torch.Tensor:
        x, y = data[number % BATCHES]
        if not module.training:
            module.train()  # once, as a training loop does: it walks through all layers
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def predict(rows: int) -> Callable[[], torch.Tensor]:
        x = _tensor(inputs(net, rows, seed), last)

        def call() -> torch.Tensor:
            with torch.inference_mode():
                return model(x)

        return call

    module.eval()
    answers = {name: predict(int(name.removeprefix("infer"))) for name in calls}
    return StepTrial(step, lambda: _copied(module), answers, torch._dynamo.reset)


def eager() -> bool:
    """Return whether a plain operation has its value at once."""
    import torch

    return float(torch.add(torch.tensor(1.0), torch.tensor(2.0))) == 3.0


def counted() -> dict[str, int]:
    """Return how many graphs were compiled in this process, and how often a network had to be parted into several."""
    from torch._dynamo.utils import counters

    return {"graphs": counters["stats"]["unique_graphs"], "breaks": sum(counters["graph_break"].values())}


def _copied(module: Any) -> Mapping[str, np.ndarray]:
    return {name: np.array(array) for name, array in weights.from_torch(module).items()}


def _tensor(rows: np.ndarray, last: bool) -> torch.Tensor:
    """Return rows as PyTorch takes them: pictures as (N, C, H, W), laid out channels last in memory if ``last``."""
    import torch

    if rows.ndim != 4:
        return torch.from_numpy(rows)
    x = torch.from_numpy(np.ascontiguousarray(rows.transpose(0, 3, 1, 2)))
    return x.to(memory_format=torch.channels_last) if last else x

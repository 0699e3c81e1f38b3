"""Takes a tiny BERT of transformers, with random weights, through the ways out of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base.environments import Environment
from pipelines.claims.experiments.ecosystem import deprecations

# huggingface-hub, tokenizers, regex, safetensors, tqdm and PyYAML are among slipway's own.
ENVIRONMENT = Environment("transformers", ("transformers==5.24.0",))
ROWS = {"example": 2, "probe": 3}
LENGTH, VOCABULARY = 16, 200
SPREAD = 0.3
"""Of the random weights: with it logits are about 1, and a wrong mask or layer changes them by more than a rounding."""


def ways_out(folder: str, layers: int, wanted_ways: list[str]) -> dict[str, Any]:
    """Take the BERT out by some ways.

    Returns ``ways`` {way: largest difference of an answer, or the error's words}, ``classes`` and deprecations.

    ``classes``: how many public names begin with ``TF`` or ``Flax``, and how many kinds of models the library knows.
    """
    with deprecations(("transformers", "torch", "onnx", "onnxscript")) as met:
        import torch
        import transformers

        torch.set_num_threads(1)
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            num_hidden_layers=layers,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=LENGTH,
            initializer_range=SPREAD,
        )
        bert = transformers.BertForSequenceClassification(config).eval()

        class Answers(torch.nn.Module):
            """Gives the logits alone: exporters take tensors, not transformers' own containers."""

            def __init__(self) -> None:
                super().__init__()
                self.bert = bert

            def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
                return self.bert(input_ids=ids, attention_mask=mask).logits

        net = Answers().eval()
        example, probe = (_inputs(rows) for rows in ROWS.values())
        with torch.no_grad():
            wanted = net(*probe).numpy()
            ways: dict[str, Callable[[], Any]] = {
                "torch.export": lambda: _exported(net, example, folder)(*probe),
                "TorchScript": lambda: torch.jit.trace(net, example)(*probe),
                "ONNX": lambda: _onnx(net, example, probe, folder),
                "ExecuTorch": lambda: _executorch(net, example, probe),
            }
            found = {name: _difference(ways[name], wanted) for name in wanted_ways}
        names = dir(transformers)
    classes = {
        "TF": sum(name.startswith("TF") and name[2:3].isupper() for name in names),
        "Flax": sum(name.startswith("Flax") for name in names),
        "models": len(list(transformers.CONFIG_MAPPING.keys())),
    }
    return {"ways": found, "classes": classes, "version": transformers.__version__, "warnings": met}


def _inputs(rows: int) -> tuple[Any, Any]:
    import torch

    ids = torch.from_numpy(np.random.default_rng(rows).integers(0, VOCABULARY, (rows, LENGTH)))
    mask = torch.ones_like(ids)
    mask[0, LENGTH // 2 :] = 0
    return ids, mask


def _program(net: Any, example: tuple[Any, ...]) -> Any:
    import torch

    batch = torch.export.Dim("batch", min=1, max=8)
    return torch.export.export(net, example, dynamic_shapes=({0: batch}, {0: batch}))


def _exported(net: Any, example: tuple[Any, ...], folder: str) -> Any:
    import torch

    file = str(Path(folder, "bert.pt2"))
    torch.export.save(_program(net, example), file)
    return torch.export.load(file).module()


def _onnx(net: Any, example: tuple[Any, ...], probe: tuple[Any, ...], folder: str) -> Any:
    import onnxruntime
    import torch

    file = str(Path(folder, "bert.onnx"))
    torch.onnx.export(_program(net, example), f=file, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, dict(zip(names, (one.numpy() for one in probe), strict=True)))[0]


def _executorch(net: Any, example: tuple[Any, ...], probe: tuple[Any, ...]) -> Any:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    lowered = to_edge_transform_and_lower(_program(net, example), partitioner=[XnnpackPartitioner()])
    program = Runtime.get().load_program(lowered.to_executorch().buffer)
    return program.load_method("forward").execute(probe)[0]


def _difference(way: Callable[[], Any], wanted: np.ndarray) -> float | str:
    try:
        return float(np.abs(np.asarray(way()) - wanted).max())
    except Exception as error:  # noqa: BLE001 - a way that refuses the model is a result
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

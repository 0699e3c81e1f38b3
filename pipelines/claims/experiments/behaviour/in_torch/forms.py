"""The forms of control flow in PyTorch, and its paths."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch._inductor.config
from torch import Tensor, nn

from pipelines.claims.experiments.behaviour.forms import EXPERTS, FORMS, LIMIT, WEIGHT, Form, cell
from pipelines.paths.inductor import own_cache, require_compiler


class _Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(WEIGHT), requires_grad=False)


class If(_Weighted):
    def forward(self, x: Tensor) -> Tensor:
        y = x * self.weight
        if y.sum() > 0:
            return y * 2
        return y - 1


class While(_Weighted):
    def forward(self, x: Tensor) -> Tensor:
        y = x * self.weight
        while y.sum() < 50.0:
            y = y * 2
        return y


class Range(_Weighted):
    def forward(self, x: Tensor) -> Tensor:
        y = x * self.weight
        for _ in range(int(x[0, 0])):
            y = y * 2
        return y


class Break(_Weighted):
    def forward(self, x: Tensor) -> Tensor:
        y = x * self.weight
        for _ in range(6):
            if y.sum() > 50.0:
                break
            y = y * 2
        return y


class ShapeIf(_Weighted):
    def forward(self, x: Tensor) -> Tensor:
        y = x * self.weight
        if x.shape[0] > 2:
            return y * 2
        return y - 1


class ShapeRange(_Weighted):
    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros_like(x[0])
        for row in range(x.shape[0]):
            y = y * 0.5 + x[row] * self.weight
        return y


class Scale(_Weighted):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight * self.by


class ListIndex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(Scale(by) for by in EXPERTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.experts[int(x[0, 0])](x)


class Cond(_Weighted):
    def forward(self, x: Tensor) -> Tensor:
        y = x * self.weight
        return torch.cond(y.sum() > 0, lambda y: y * 2, lambda y: y - 1, (y,))


class WhileLoop(_Weighted):
    def forward(self, x: Tensor) -> Tensor:
        from torch._higher_order_ops.while_loop import while_loop

        return while_loop(lambda y: y.sum() < LIMIT, lambda y: (y * 2,), (x * self.weight,))[0]


class Where(_Weighted):
    def forward(self, x: Tensor) -> Tensor:
        y = x * self.weight
        return torch.where(y > 0, y * 2, y - 1)


MODULES: dict[str, Callable[[], nn.Module]] = {
    **{"if": If, "while": While, "range": Range, "break": Break, "shape-if": ShapeIf, "shape-range": ShapeRange},
    **{"list-index": ListIndex, "cond": Cond, "while_loop": WhileLoop, "where": Where},
}
Call = Callable[[np.ndarray], Any]


def _eager(module: nn.Module, example: Tensor) -> Call:  # noqa: ARG001
    return lambda x: module(torch.from_numpy(x))


def _compile(module: nn.Module, backend: str, *, whole: bool = False) -> Call:
    torch._dynamo.reset()
    compiled = torch.compile(module, backend=backend, fullgraph=whole)
    return lambda x: compiled(torch.from_numpy(x))


def _export(module: nn.Module, example: Tensor) -> Call:
    program = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("rows", min=1)},))
    loaded = program.module()
    return lambda x: loaded(torch.from_numpy(x))


def _onnx(module: nn.Module, example: Tensor) -> Call:
    import onnxruntime

    rows = ({0: torch.export.Dim("rows", min=1)},)
    program = torch.onnx.export(module, (example,), dynamo=True, dynamic_shapes=rows, verbose=False)
    content = io.BytesIO()
    program.save(content)
    session = onnxruntime.InferenceSession(content.getvalue(), providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs())
    return lambda x: session.run(None, {name: x})[0]


def _trace(module: nn.Module, example: Tensor) -> Call:
    traced = torch.jit.trace(module, (example,))
    return lambda x: traced(torch.from_numpy(x))


def _script(module: nn.Module, example: Tensor) -> Call:  # noqa: ARG001
    scripted = torch.jit.script(module)
    return lambda x: scripted(torch.from_numpy(x))


Make = Callable[[nn.Module, Tensor], Call]
"""A path: (module, example) -> the call of the result."""


def paths(backend: str) -> dict[str, Make]:
    """Return every path; ``backend`` is that of torch.compile."""
    return {
        "eager": _eager,
        "torch.compile": lambda module, _: _compile(module, backend),
        "torch.compile, one graph": lambda module, _: _compile(module, backend, whole=True),
        **EXPORTS,
    }


EXPORTS: dict[str, Make] = {
    "torch.export": _export,
    "ONNX (dynamo)": _onnx,
    "jit.trace": _trace,
    "jit.script": _script,
}


def grid(names: Sequence[str], backend: str) -> dict[str, Any]:
    """Take forms through every path: {"cells": {form: {path: {"outcome", "why", "warned"}}}, "graphs": {form: n},
    "backend"}.

    ``graphs`` is the number of graphs that torch.compile made of the form for its example: 0 if it left it to Python.
    Raises NotPossible if there is no C++ compiler.
    """
    require_compiler()
    torch.set_num_threads(1)
    with own_cache():
        made = paths(backend).items()
        cells = {name: {path: _cell(FORMS[name], MODULES[name], make) for path, make in made} for name in names}
    return {"cells": cells, "graphs": {name: _graphs(name) for name in names}, "backend": backend}


def _cell(form: Form, module: Callable[[], nn.Module], make: Make) -> dict[str, str]:
    with torch.no_grad():
        return cell(form, lambda: make(module().eval(), torch.from_numpy(form.inputs()[0])))


def _graphs(name: str) -> int:
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    with torch.no_grad():
        torch.compile(MODULES[name]().eval(), backend="eager")(torch.from_numpy(FORMS[name].inputs()[0]))
    return int(counters["stats"]["unique_graphs"])

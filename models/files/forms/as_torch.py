"""Makes the ``torch`` form of a user's file: a module that takes the inputs in the spec's order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from models.model import NotThisForm

if TYPE_CHECKING:
    from torch import nn

    from models.files.model import FileModel

BACKEND = "KERAS_BACKEND"
SHAPED = ("view", "reshape", "_unsafe_view", "expand")
"""Operators of PyTorch that are given a shape."""


def of_program(model: FileModel, *, free: bool = True) -> nn.Module:
    """Return the program of a ``.pt2`` file, whose copy has no guards: PyTorch would run them as Python code.

    One that takes one row alone is rewritten to take any number, unless ``free`` is False.
    """
    import torch
    from torch.utils import _pytree

    program: Any = torch.export.load(model.path)
    inner = program.module(check_guards=False)
    structure = program.call_spec.in_spec
    if free and _takes_one_row(program):
        _free_rows(inner)

    def call(*tensors: Any) -> Any:
        positional, named = _pytree.tree_unflatten(list(tensors), structure)
        return inner(*positional, **named)

    return _module(model, inner, call)


def _takes_one_row(program: Any) -> bool:
    given = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    shapes = [tuple(given[name].shape) for name in program.graph_signature.user_inputs]
    return all(shape and isinstance(shape[0], int) and shape[0] == 1 for shape in shapes)


def _free_rows(inner: Any) -> None:
    """Put the number of rows in the place of each 1 that a shape in the graph begins with.

    That is a guess, which is why a file is taken only if it then answers as before. What checks the inputs is removed.
    """
    import torch

    aten, graph = torch.ops.aten, inner.graph
    *_, last = (node for node in graph.nodes if node.op == "placeholder")
    with graph.inserting_after(last):
        rows = graph.call_function(aten.sym_size.int, (last, 0))
    for node in [*graph.nodes]:
        if node.target is aten._assert_tensor_metadata.default:
            graph.erase_node(node)
        elif node.target in (getattr(aten, name).default for name in SHAPED) and [*node.args[1]][:1] == [1]:
            node.args = (node.args[0], [rows, *node.args[1][1:]], *node.args[2:])
    inner.recompile()
    inner._forward_pre_hooks.clear()


def of_keras(model: FileModel) -> nn.Module:
    """Return a ``.keras`` file's model on Keras's torch backend. Raises NotThisForm if Keras has another one by now."""
    if "keras" in sys.modules and os.environ.get(BACKEND) != "torch":
        raise NotThisForm("Keras was imported with another backend in this process")
    os.environ[BACKEND] = "torch"
    from models.files.forms.as_keras import arranged, load

    loaded = load(model)
    names = [tensor.name for tensor in model.spec.inputs]

    def call(*tensors: Any) -> Any:
        inputs = arranged(model, loaded, dict(zip(names, tensors, strict=True)))
        return loaded(inputs, training=False)

    return _module(model, loaded, call)


def _module(model: FileModel, inner: Any, call: Callable[..., Any]) -> nn.Module:
    """Return a module with as many positional inputs as the spec has; a tensor comes out, or several in its order."""
    import torch
    from torch.utils import _pytree

    outputs = [tensor.name for tensor in model.spec.outputs]

    class Own(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def train(self, mode: bool = True) -> Any:  # noqa: ARG002 - a program is exported in one mode, and refuses this
            return self

    def found(*tensors: Any) -> Any:
        result = call(*tensors)
        by_name = isinstance(result, dict) and set(result) == set(outputs)
        flat = [result[name] for name in outputs] if by_name else _pytree.tree_leaves(result)
        return flat[0] if len(flat) == 1 else tuple(flat)

    Own.forward = _with_arguments(found, len(model.spec.inputs))
    return Own()


def _with_arguments(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Return a method with ``count`` named arguments: torch.export gives free dimensions by argument."""
    names = ", ".join(f"input_{number}" for number in range(count))
    scope: dict[str, Any] = {"function": function}
    exec(f"def forward(self, {names}): return function({names})", scope)  # noqa: S102 - numbers only
    made: Callable[..., Any] = scope["forward"]
    return made

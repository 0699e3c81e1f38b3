"""Walks the program inside a ``.pt2`` file of torch.export: its operators, and what would run besides them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from models.files.inside.expressions import harmless, harmless_guard

TARGETS = re.compile(
    r"torch\.ops\.(aten\.(?!from_file|save\b)\w+|quantized_decomposed\.\w+|higher_order\.(cond|while_loop|scan|map_impl"
    r"|associative_scan|wrap_with_set_grad_enabled|wrap_with_autocast|out_dtype|flex_attention|invoke_subgraph))(\.\w+)?"
    r"|_operator\.(getitem|add|mul|sub|truediv|floordiv|mod|pow|neg|pos|abs|lshift|rshift|ge|le|gt|lt|eq|ne"
    r"|and_|or_|xor|not_|invert)"
    r"|math\.(ceil|floor|trunc|sqrt)"
    r"|torch\._?sym_\w+"
)
OPERATORS_OF_OTHERS = re.compile(r"torch\.ops\.\w+\.\w+(\.\w+)?")
CONTAINERS = ("builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", None)
_OBJECTS = ("as_custom_obj", "custom_obj", "token")


def parts(program: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of a program with its value, however deep."""
    waiting = [program]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def outside(program: dict[str, Any]) -> Iterator[str]:
    """Say what would run when PyTorch loads or calls a program, besides operators that compute."""
    for key, value in parts(program):
        if key == "expr_str" and not harmless(str(value)):
            yield f"an expression over sizes is Python code: {str(value)[:80]!r}"
        if key in ("target", "as_operator") and isinstance(value, str) and not TARGETS.fullmatch(value):
            others = OPERATORS_OF_OTHERS.fullmatch(value)
            yield f"it calls {value[:80]}, " + ("an operator of another library" if others else "which is no operator")
        if key in ("in_spec", "out_spec") and isinstance(value, str) and not _plain_containers(value):
            yield f"it names a class to import in {key}: {value[:80]!r}"
        if key in _OBJECTS and isinstance(value, dict):
            yield "it holds an object that is no tensor"
    for guard in program.get("guards_code") or []:
        if not harmless_guard(str(guard)):
            yield f"a guard is Python code: {str(guard)[:80]!r}"


def _plain_containers(text: str) -> bool:
    """Tell if a structure of inputs or outputs names only containers of Python, and keys that are plain values."""
    for key, value in parts(json.loads(text) if text else []):
        if key == "type" and value not in CONTAINERS:
            return False
        if key == "context" and value is not None:
            keys = json.loads(value) if isinstance(value, str) else value
            if not isinstance(keys, list | None) or not all(isinstance(one, str | int) for one in keys or []):
                return False
    return True


def operators_of(program: dict[str, Any]) -> list[str]:
    """List what the nodes call, in the graphs inside nodes too."""
    return [value.removeprefix("torch.ops.") for key, value in parts(program["graph_module"]) if key == "target"]

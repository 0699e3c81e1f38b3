"""Reads the inputs and outputs of a program of torch.export."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from models.files.inside.expressions import readable
from models.files.shapes import shape_of, values_of
from models.spec import BATCH, TensorSpec

DTYPES = {
    **{1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64"},
    **{9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16", 34: "uint32"},
    **{29: "float8_e4m3fn", 30: "float8_e5m2", 35: "uint64"},
}
PASSED_ON = re.compile(r"torch\.ops\.aten\.(_?to(_copy)?|unsqueeze|squeeze|reshape|view|clone|alias|slice|select)\b.*")
SAYS_NOTHING = 2


class ProgramSignature:
    """The inputs and outputs of a program, with one name for each free dimension."""

    def __init__(self, program: dict[str, Any]) -> None:
        module = program["graph_module"]
        self._graph, self._ranges = module["graph"], program["range_constraints"]
        self._names: dict[str, str] = {}
        called = module["module_call_graph"][0]["signature"]
        specs = [one["user_input"]["arg"] for one in module["signature"]["input_specs"] if "user_input" in one]
        own = [arg["as_tensor"]["name"] for arg in specs if "as_tensor" in arg]
        given = _leaves(called.get("in_spec"), called.get("forward_arg_names") or [])
        names = given if len({*given}) == len(given) == len(own) == len(specs) else own
        tables = dict(self._tables())
        self.inputs = [self._tensor(name, value, tables.get(value)) for name, value in zip(names, own, strict=True)]
        results = [one["user_output"]["arg"] for one in module["signature"]["output_specs"] if "user_output" in one]
        keys = _keys(called.get("out_spec"), len(results))
        self.outputs = [
            self._tensor(key, arg["as_tensor"]["name"], None, output=True)
            for key, arg in zip(keys, results, strict=True)
            if "as_tensor" in arg
        ]
        self.others = [next(iter(arg)) for arg in (*specs, *results) if "as_tensor" not in arg]
        self.guessed = tuple(name for name, value in zip(names, own, strict=True) if value not in tables)

    @property
    def lengths(self) -> dict[str, tuple[int, int | None]]:
        """The bounds of each free dimension, those of all its symbols together."""
        found: dict[str, tuple[int, int | None]] = {}
        for symbol, name in self._names.items():
            if name == BATCH or symbol not in self._ranges:
                continue
            low, high = _bounds(self._ranges[symbol])
            before = found.get(name, (1, None))
            highs = [one for one in (high, before[1]) if one is not None]
            found[name] = max(low, before[0]), min(highs, default=None)
        return found

    @property
    def batch_bounds(self) -> tuple[int, int | None]:
        """The bounds of the number of rows."""
        bounds = [_bounds(one) for symbol, one in self._ranges.items() if self._names.get(symbol) == BATCH]
        highs = [high for _, high in bounds if high is not None]
        return max((low for low, _ in bounds), default=1), min(highs, default=None)

    def _tensor(self, name: str, value: str, table: int | None, *, output: bool = False) -> TensorSpec:
        about = self._graph["tensor_values"][value]
        dtype = DTYPES.get(about["dtype"], "unknown")
        shape = tuple(self._size(size, None if output else place) for place, size in enumerate(about["sizes"]))
        return TensorSpec(name, dtype, shape, None if output else values_of(dtype, table))

    def _size(self, size: dict[str, Any], place: int | None) -> int | str:
        """Name a size. A symbol is named by the place in an input where it occurs first; of outputs, others stay."""
        if "as_int" in size:
            return int(size["as_int"])
        text = readable(str(size["as_expr"]["expr_str"]))
        if not text.isidentifier() or place is None:
            return re.sub(r"_?[suz]\w*\d+", lambda found: self._names.get(found[0], found[0]), text)
        (named,) = shape_of([None] * (place + 1))[place:]
        return self._names.setdefault(text, str(named))

    def _tables(self) -> Iterator[tuple[str, int]]:
        """Yield the inputs whose values look up rows of a table, with its number of rows."""
        origin: dict[str, str] = {}
        for node in self._graph["nodes"]:
            given = {one["name"]: one["arg"].get("as_tensor", {}).get("name") for one in node["inputs"]}
            if PASSED_ON.fullmatch(node["target"]) and given.get("self") and "as_tensor" in node["outputs"][0]:
                origin[node["outputs"][0]["as_tensor"]["name"]] = origin.get(given["self"], given["self"])
            if node["target"].startswith("torch.ops.aten.embedding."):
                rows = self._graph["tensor_values"][given["weight"]]["sizes"][0].get("as_int")
                if rows:
                    yield origin.get(given["indices"], given["indices"]), rows


def _bounds(constraint: dict[str, Any]) -> tuple[int, int | None]:
    """Return the bounds of a symbol. A smallest size of 2 says nothing: PyTorch writes it for every free one."""
    low = constraint["min_val"] or 0
    return (low if low > SAYS_NOTHING else 1), constraint["max_val"]


def _leaves(in_spec: str | None, names: list[str]) -> list[str]:
    """Name the tensors in a structure of arguments: by the argument, and inside a mapping by the key."""
    found: list[str] = []

    def walk(spec: dict[str, Any], name: str) -> None:
        keys = json.loads(spec["context"]) if spec["type"] in ("builtins.dict", "collections.OrderedDict") else None
        for number, child in enumerate(spec["children_spec"]):
            walk(child, str(keys[number]) if keys else f"{name}_{number}")
        if spec["type"] is None:
            found.append(name)

    if in_spec:
        positional, named = json.loads(in_spec)[1]["children_spec"]
        for child, name in zip(positional["children_spec"], names, strict=False):
            walk(child, name)
        walk(named, "")
    return found


def _keys(out_spec: str | None, count: int) -> list[str]:
    """Return the names of outputs: the keys of the mapping that a program returns, else numbers."""
    spec = json.loads(out_spec)[1] if out_spec else {}
    keys = json.loads(spec["context"]) if spec.get("type") == "builtins.dict" else None
    return (
        [str(key) for key in keys] if keys and len(keys) == count else [f"output_{number}" for number in range(count)]
    )

"""Reads a .tflite file with LiteRT's own schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.holds.totals import numbers_of, totals
from pipelines.results import Holds


def tflite_holds(path: Path) -> Holds:
    """Read the operators and constants of all subgraphs. Custom are TensorFlow's (Flex) and those of applications."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    builtin, types = (_names(kind) for kind in (schema.BuiltinOperator, schema.TensorType))
    # Codes up to 127 have a field of their own, which is the only one in old files.
    numbers = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    names = [
        builtin[number] if code.customCode is None else code.customCode.decode()
        for code, number in zip(model.operatorCodes, numbers, strict=True)
    ]
    tensors = {tensor.buffer: types[tensor.type].lower() for graph in model.subgraphs for tensor in graph.tensors}
    sizes = {number: 0 if one.data is None else len(one.data) for number, one in enumerate(model.buffers)}
    used = [names[one.opcodeIndex] for graph in model.subgraphs for one in graph.operators or []]
    return Holds(
        weights=totals((kind, sizes[number]) for number, kind in tensors.items() if sizes[number]),
        operators=numbers_of(used),
        custom=tuple(sorted(set(used) - set(builtin.values()))),
        facts={"schema": str(model.version)},
    )


def _names(kind: Any) -> dict[int, str]:
    """Return the names of a generated enumeration's values."""
    return {value: name for name, value in vars(kind).items() if isinstance(value, int)}

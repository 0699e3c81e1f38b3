"""Reads an ``.onnx`` file without the library onnx, and checks the files that its weights lie in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.files import FileFacts, RefusedFile
from models.files.contents import sha256_of_all
from models.files.inside.messages import MOST_BYTES, decoded
from models.files.inside.onnx_tensors import EXTERNAL, SMALL, bytes_of, constants_of, external, nodes_of
from models.files.shapes import fixed_batch, shape_of, values_of
from models.spec import BATCH, TensorSpec

DTYPES = {
    **{1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "str", 9: "bool"},
    **{10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16"},
}
KNOWN = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "com.microsoft")
OUTSIDE = {
    "EPContext": "loads compiled code from a path",
    "PythonOp": "runs Python code",
    "PythonOpGrad": "runs Python code",
    "PyOp": "runs Python code",
}
PASSED_ON = ("Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze")


def read(path: Path) -> FileFacts:
    """Read the signature, the operators and the sizes of a model. Raises RefusedFile."""
    if path.stat().st_size > MOST_BYTES:
        raise RefusedFile(f"{path} has more than {MOST_BYTES:,} bytes, protobuf's limit. Save it with external data")
    model = decoded("onnx", "ModelProto", path.read_bytes(), str(path))
    graph = model.graph
    nodes = [*nodes_of(graph.node), *(node for one in model.functions for node in nodes_of(one.node))]
    trained = [*graph.initializer, *(part for one in graph.sparse_initializer for part in (one.values, one.indices))]
    tensors = [*trained, *constants_of(nodes)]
    others = [
        tensor
        for one in model.training_info
        for tensor in (*one.algorithm.initializer, *constants_of(nodes_of(one.algorithm.node)))
    ]
    files = {path.name: path}
    for tensor in (*tensors, *others):
        if tensor.data_location == EXTERNAL or tensor.external_data:
            files |= external(path.parent, tensor)
        elif tensor.raw_data and tensor.data_type not in SMALL and len(tensor.raw_data) != bytes_of(tensor):
            raise RefusedFile(f"{tensor.name!r} has {len(tensor.raw_data):,} bytes, and needs {bytes_of(tensor):,}")
    own = {(one.domain, one.name) for one in model.functions}
    domains = {node.domain for node in nodes if (node.domain, node.op_type) not in own}
    tables = dict(_tables(graph))
    known = {tensor.name for tensor in trained}
    given = [value for value in graph.input if value.name not in known]
    rows = {name for value in given if (name := _first(value))}
    inputs = [_tensor(value, rows, tables.get(value.name), is_input=True) for value in given]
    warnings = ["it holds how it is trained: left out"] if model.training_info else []
    return FileFacts(
        kind="onnx",
        sha256=sha256_of_all(files),
        size_bytes=sum(file.stat().st_size for file in files.values()),
        inputs=tuple(inputs),
        outputs=tuple(_tensor(value, rows, None) for value in graph.output),
        batch=fixed_batch(inputs),
        guessed=tuple(one.name for one in inputs if one.name not in tables),
        operators=Counter(_named(node) for node in nodes if node.op_type != "Constant"),
        versions={
            "IR version": str(model.ir_version),
            **{
                f"opset {one.domain}".strip(): str(one.version)
                for one in model.opset_import
                if one.domain in {*domains, ""}
            },
            "made by": f"{model.producer_name} {model.producer_version}".strip() or "unknown",
        },
        parameters=sum(math.prod(tensor.dims) for tensor in trained),
        parameter_bytes=sum(map(bytes_of, trained)),
        custom=tuple(
            sorted(
                {_named(node) for node in nodes if node.domain not in KNOWN and (node.domain, node.op_type) not in own}
            )
        ),
        code=tuple(
            sorted(
                {f"the operator {node.op_type} {OUTSIDE[node.op_type]}" for node in nodes if node.op_type in OUTSIDE}
            )
        ),
        warnings=tuple(warnings),
    )


def _named(node: Any) -> str:
    """Name an operator, with its domain unless that is ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


def _first(value: Any) -> str:
    """Return the name of an input's free first dimension; empty without."""
    dims = value.type.tensor_type.shape.dim
    return str(dims[0].dim_param) if dims and dims[0].dim_value <= 0 else ""


def _tensor(value: Any, rows: set[str], table: int | None, *, is_input: bool = False) -> TensorSpec:
    kind = value.type.tensor_type
    dtype = DTYPES.get(kind.elem_type) if value.type.HasField("tensor_type") else None
    if dtype is None:
        if is_input:
            raise RefusedFile(f"the input {value.name!r} is no tensor of a type that can be sent")
        return TensorSpec(value.name, "unknown", shape_of(None))
    sizes: list[int | str | None] | None = None
    if kind.HasField("shape"):
        sizes = [int(dim.dim_value) if dim.dim_value > 0 else _dimension(dim.dim_param, rows) for dim in kind.shape.dim]
    return TensorSpec(value.name, dtype, shape_of(sizes), values_of(dtype, table) if is_input else None)


def _dimension(name: str, rows: set[str]) -> str | None:
    return BATCH if name in rows and name else name or None


def _tables(graph: Any) -> Iterator[tuple[str, int]]:
    """Yield the inputs whose values look up rows of a table, with its number of rows."""
    tables = {one.name: one.dims[0] for one in graph.initializer if one.dims}
    origin: dict[str, str] = {}
    for node in graph.node:
        if node.op_type in PASSED_ON and node.input and node.output:
            origin[node.output[0]] = origin.get(node.input[0], node.input[0])
        axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
        if node.op_type == "Gather" and axis == 0 and len(node.input) == 2 and node.input[0] in tables:
            yield origin.get(node.input[1], node.input[1]), int(tables[node.input[0]])

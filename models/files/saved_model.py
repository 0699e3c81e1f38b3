"""Reads the folder of a SavedModel without TensorFlow."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from models.files import FileFacts, RefusedFile
from models.files.contents import sha256_of_all, tree
from models.files.inside.messages import MOST_BYTES, decoded
from models.files.inside.tensorflow_graph import outside
from models.files.inside.tensorflow_walk import attribute, called, reached
from models.files.shapes import fixed_batch, shape_of, values_of
from models.spec import TensorSpec

GRAPH, VARIABLES = "saved_model.pb", "variables/variables.index"
SERVE = "serve"
DTYPES = {
    **{1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "str", 8: "complex64", 9: "int64"},
    **{10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64"},
}
ITEMSIZE = {**dict.fromkeys((4, 6, 10), 1), **dict.fromkeys((5, 14, 17, 19), 2), **dict.fromkeys((2, 8, 9, 23), 8)}
QUIET = ("Const", "NoOp", "Placeholder", "Identity")
"""Operators that say nothing about what a model computes."""
PREFERRED = ("serving_default", "serve")


def read(path: Path) -> FileFacts:
    """Read the signature, the operators and the sizes of a SavedModel. Raises RefusedFile."""
    files = tree(path)
    if files[GRAPH].stat().st_size > MOST_BYTES:
        raise RefusedFile(f"{path / GRAPH} may have {MOST_BYTES:,} bytes, which is protobuf's limit")
    graphs = decoded("tensorflow", "SavedModel", files[GRAPH].read_bytes(), str(path / GRAPH)).meta_graphs
    serving = [meta for meta in graphs if SERVE in meta.meta_info_def.tags]
    if len(serving) != 1:
        tags = [", ".join(meta.meta_info_def.tags) for meta in graphs]
        raise RefusedFile(f"{path} has to have one graph with the tag {SERVE!r}. Received: {tags}")
    (meta,) = serving
    code = [text for one in graphs for text in outside(one)]
    _check_assets(path, files, meta)
    name, signature = _signature(path, meta)
    functions = {one.signature.name: one for one in meta.graph_def.library.function}
    every = {node.name: node for node in meta.graph_def.node}
    needed = reached([tensor.value.name for tensor in signature.outputs], every)
    nodes = [*needed, *(node for one in called(needed, functions) for node in functions[one].node_def)]
    variables = [node for node in needed if node.op in ("VarHandleOp", "VariableV2")]
    if variables and VARIABLES not in files:
        raise RefusedFile(f"{path} has variables, and no {VARIABLES}. Copy the whole folder")
    sizes = [_size(node) for node in variables]
    inputs = [_tensor(one.key, one.value, is_input=True) for one in signature.inputs]
    return FileFacts(
        kind="saved_model",
        sha256=sha256_of_all(files),
        size_bytes=sum(file.stat().st_size for file in files.values()),
        inputs=tuple(sorted(inputs, key=lambda one: one.name)),
        outputs=tuple(sorted((_tensor(one.key, one.value) for one in signature.outputs), key=lambda one: one.name)),
        batch=fixed_batch(inputs),
        guessed=tuple(sorted(one.name for one in inputs)),
        operators=Counter(node.op for node in nodes if node.op not in (*QUIET, *functions)),
        versions={
            "tensorflow": meta.meta_info_def.tensorflow_version or "unknown",
            "tags": ", ".join(meta.meta_info_def.tags),
            "signature": name,
            "signatures": ", ".join(sorted(one.key for one in meta.signature_def if not one.key.startswith("__"))),
        },
        parameters=sum(count for count, _ in sizes),
        parameter_bytes=sum(size for _, size in sizes),
        code=tuple(dict.fromkeys(code)),
    )


def _signature(path: Path, meta: Any) -> tuple[str, Any]:
    """Choose the signature to call: the one for serving, or the only one."""
    found = {one.key: one.value for one in meta.signature_def if one.value.outputs and not one.key.startswith("__")}
    name = next((name for name in (*PREFERRED, *(found if len(found) == 1 else ())) if name in found), None)
    if name is None:
        raise RefusedFile(
            f"{path} has to have the signature {PREFERRED[0]!r}, or one alone. Received: {sorted(found) or 'none'}. "
            "Export it again with signatures="
        )
    return name, found[name]


def _check_assets(path: Path, files: Mapping[str, Path], meta: Any) -> None:
    for one in meta.asset_file_def:
        parts = PurePosixPath(one.filename).parts
        if not parts or one.filename.startswith("/") or ".." in parts or f"assets/{one.filename}" not in files:
            raise RefusedFile(f"{path} names an asset that is not in its folder assets: {one.filename[:80]!r}")


def _tensor(name: str, about: Any, *, is_input: bool = False) -> TensorSpec:
    if not about.name:
        raise RefusedFile(f"the tensor {name!r} of the signature is sparse or of several parts, which cannot be sent")
    dtype = DTYPES.get(about.dtype)
    if dtype is None:
        raise RefusedFile(f"the tensor {name!r} of the signature is of a type that cannot be sent: {about.dtype}")
    sizes = None if about.tensor_shape.unknown_rank else [_free(dim.size) for dim in about.tensor_shape.dim]
    return TensorSpec(name, dtype, shape_of(sizes), values_of(dtype) if is_input else None)


def _free(size: int) -> int | None:
    return None if size < 0 else int(size)


def _size(node: Any) -> tuple[int, int]:
    """Return how many numbers a variable has, and their bytes."""
    shape, kind = attribute(node, "shape"), attribute(node, "dtype")
    count = math.prod(max(0, dim.size) for dim in shape.shape.dim) if shape is not None else 0
    return count, count * ITEMSIZE.get(kind.type if kind is not None else 1, 4)

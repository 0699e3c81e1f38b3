"""Finds the tensors of an ONNX model, and checks the files beside it that they lie in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from models.files import RefusedFile
from models.files.contents import checked_file

ITEMSIZE = {
    **dict.fromkeys((2, 3, 9), 1),
    **dict.fromkeys((4, 5, 10, 16), 2),
    **dict.fromkeys((7, 11, 13, 14), 8),
    15: 16,
}
SMALL = range(17, 27)
"""Types of a byte and less, of which two or more may share one."""
EXTERNAL = 1


def nodes_of(nodes: Any) -> Iterator[Any]:
    """Yield nodes, and those of the graphs inside them."""
    for node in nodes:
        yield node
        for one in node.attribute:
            for graph in [one.g, *one.graphs]:
                yield from nodes_of(graph.node)


def constants_of(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        for one in node.attribute:
            yield from [one.t] if one.HasField("t") else []
            yield from one.tensors
            yield from one.g.initializer
            for graph in one.graphs:
                yield from graph.initializer
            for sparse in [one.sparse_tensor, *one.sparse_tensors]:
                yield from (sparse.values, sparse.indices)


def bytes_of(tensor: Any) -> int:
    return math.prod(tensor.dims) * ITEMSIZE.get(tensor.data_type, 1 if tensor.data_type in SMALL else 4)


def external(folder: Path, tensor: Any) -> dict[str, Path]:
    """Check the file beside the model that holds a tensor. Raises RefusedFile if it lies elsewhere or is too short."""
    about = {entry.key: entry.value for entry in tensor.external_data}
    place = about.get("location", "")
    parts = PurePosixPath(place).parts
    if not parts or place.startswith("/") or ".." in parts or "\\" in place or "\0" in place:
        raise RefusedFile(
            f"{tensor.name!r} lies outside of the model's folder: {place[:80]!r}. Keep its files together"
        )
    path = folder
    for part in parts:
        path /= part
        if path.is_symlink():
            raise RefusedFile(f"{tensor.name!r} lies behind a link: {place[:80]!r}. Copy the file itself there")
    size = checked_file(path)
    numbers = [about.get(key, "0") for key in ("offset", "length")]
    if not all(number.isdecimal() and len(number) < 20 for number in numbers):
        raise RefusedFile(f"{tensor.name!r} has no usable place in {place[:80]!r}. Received: {numbers}")
    offset, length = map(int, numbers)
    if offset + max(length, bytes_of(tensor)) > size:
        raise RefusedFile(
            f"{tensor.name!r} needs bytes up to {offset + max(length, bytes_of(tensor)):,} of {place[:80]!r}, "
            f"which has {size:,}. The file is cut short"
        )
    return {place: path}

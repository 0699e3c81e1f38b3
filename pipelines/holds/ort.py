"""Reads a file in ONNX Runtime's own format, with the schema that ONNX Runtime ships."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.holds.onnx import named
from pipelines.holds.totals import numbers_of, totals
from pipelines.results import Holds


def ort_holds(path: Path) -> Holds:
    """Read an ``.ort`` file: its graph is the one that runs, after ONNX Runtime fused what it could."""
    import onnx
    import onnxruntime.tools.ort_format_model  # noqa: F401 - puts the schema's package on the path
    from ort_flatbuffers_py.fbs.InferenceSession import InferenceSession

    model = InferenceSession.GetRootAs(path.read_bytes(), 0).Model()
    graphs = list(_graphs(model.Graph()))
    nodes = [graph.Nodes(number) for graph in graphs for number in range(graph.NodesLength())]
    names = [named(node.Domain().decode(), node.OpType().decode()) for node in nodes]
    tensors = [graph.Initializers(number) for graph in graphs for number in range(graph.InitializersLength())]
    imports = [model.OpsetImport(number) for number in range(model.OpsetImportLength())]
    used = {node.Domain() for node in nodes}
    opsets = {f"opset {one.Domain().decode()}".strip(): str(one.Version()) for one in imports if one.Domain() in used}
    return Holds(
        weights=totals(
            (onnx.helper.tensor_dtype_to_np_dtype(tensor.DataType()).name, tensor.RawDataLength()) for tensor in tensors
        ),
        operators=numbers_of(names),
        custom=tuple(sorted({name for name in names if "::" in name})),
        facts=dict(sorted({"format": "ORT", "IR version": str(model.IrVersion()), **opsets}.items())),
    )


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for number in range(graph.NodesLength()):
        node = graph.Nodes(number)
        for index in range(node.AttributesLength()):
            if inner := node.Attributes(index).G():
                yield from _graphs(inner)

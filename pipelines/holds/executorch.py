"""Reads an ExecuTorch program, and the graphs that it hands to XNNPACK."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from pipelines.holds.totals import numbers_of, totals
from pipelines.results import Holds

OWN = ("aten", "dim_order_ops", "executorch_prim", "quantized_decomposed")
"""Namespaces of ExecuTorch's own kernels."""
SCALAR = {"byte": "uint8", "char": "int8", "short": "int16", "int": "int32", "long": "int64", "half": "float16"}
SCALAR |= {"float": "float32", "double": "float64"}


def executorch_holds(path: Path) -> Holds:
    """Read a ``.pte`` file: calls of kernels, and XNNPACK's nodes, which are the delegated share of all operations."""
    from executorch.exir._serialize._program import deserialize_pte_binary
    from executorch.exir.schema import KernelCall, Tensor

    program = deserialize_pte_binary(path.read_bytes()).program
    kernels: list[str] = []
    constants: dict[Any, tuple[str, int]] = {}
    graphs = []
    for plan in program.execution_plan:
        calls = [one.instr_args for chain in plan.chains for one in chain.instructions]
        kernels += [plan.operators[one.op_index].name for one in calls if isinstance(one, KernelCall)]
        for value in (one.val for one in plan.values):
            if isinstance(value, Tensor) and value.data_buffer_idx:
                kind = value.scalar_type.name.lower()
                stored = program.constant_buffer[value.data_buffer_idx].storage
                constants[value.data_buffer_idx] = (SCALAR.get(kind, kind), len(stored))
        graphs += [_graph(program.backend_delegate_data[one.processed.index].data) for one in plan.delegates]
    for number, graph in enumerate(graphs):
        for value in graph["xvalues"]:
            tensor = value["xvalue_union"].get("tensor_value", value["xvalue_union"])
            if index := tensor["constant_buffer_idx"]:
                data = graph["constant_data"][index]
                constants[data["named_key"] or (number, index)] = (_type(tensor["datatype"]), data["size"])
    nodes = [node["xnode_union_type"] for graph in graphs for node in graph["xnodes"]]
    return Holds(
        weights=totals(constants.values()),
        operators=numbers_of([*kernels, *nodes]),
        custom=tuple(sorted({name for name in kernels if name.partition("::")[0] not in OWN})),
        delegated=len(nodes) / len([*kernels, *nodes]),
        facts={"parts for XNNPACK": str(len(graphs))},
    )


def _graph(blob: bytes) -> Any:
    """Decode what ExecuTorch hands to XNNPACK. Raises ValueError if it is another delegate's."""
    from executorch.backends.xnnpack.serialization import xnnpack_graph_serialize as xnnpack
    from executorch.exir._serialize._flatbuffer import _flatc_decompile

    header = xnnpack.XNNHeader.from_bytes(blob[: xnnpack.XNNHeader.EXPECTED_LENGTH])
    with tempfile.TemporaryDirectory() as scratch:
        schema, content = Path(scratch, "schema.fbs"), Path(scratch, "graph.bin")
        schema.write_bytes(xnnpack._get_schema_bytes())
        content.write_bytes(blob[header.flatbuffer_offset : header.flatbuffer_offset + header.flatbuffer_size])
        _flatc_decompile(scratch, str(schema), str(content), ["--raw-binary"])
        # A clamp without a limit is written as a bare inf, which Python's reader spells otherwise.
        return json.loads(re.sub(r": (-?)inf\b", r": \1Infinity", content.with_suffix(".json").read_text()))


def _type(name: str) -> str:
    """Turn a type of XNNPACK's into numpy's: of its quantised types, the integers that are stored."""
    return re.sub("^fp", "float", re.sub("^q[a-z]*?(?=u?int)", "", name.removeprefix("xnn_datatype_")))

"""Exports a PyTorch network to ONNX: what ONNX Runtime's and OpenVINO's paths begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.errors import SlipwayError
from pipelines.paths.exported import examples, free_dimensions

if TYPE_CHECKING:
    import onnx

    from models.model import Model

OPSET = 20
ONNX = ("onnx",)
"""The form of a user's .onnx file, which is taken as it is."""


def to_onnx(model: Model) -> onnx.ModelProto:
    """Export the PyTorch form, with the spec's names and free dimensions; a user's .onnx file is taken as it is.

    Raises SlipwayError if names are lost.
    """
    spec = model.spec
    if "torch" not in model.forms:
        proto: onnx.ModelProto = model.form("onnx")
        tidy(proto, model)
        return proto
    import torch

    program = torch.onnx.export(
        model.form("torch"),
        examples(spec),
        dynamo=True,
        dynamic_shapes=free_dimensions(spec),
        opset_version=OPSET,
        input_names=[tensor.name for tensor in spec.inputs],
        output_names=[tensor.name for tensor in spec.outputs],
        verbose=False,
    )
    proto = program.model_proto
    tidy(proto, model)
    return proto


def tidy(proto: onnx.ModelProto, model: Model) -> None:
    """Name the free dimensions, and drop the exporters' notes: stack traces with paths of this machine."""
    for values, tensors in ((proto.graph.input, model.spec.inputs), (proto.graph.output, model.spec.outputs)):
        names, expected = [value.name for value in values], [tensor.name for tensor in tensors]
        if sorted(names) != sorted(expected):
            raise SlipwayError(
                f"the export must keep the names {', '.join(expected)}. Received: {', '.join(names) or 'none'}"
            )
        for value in values:
            tensor = next(one for one in tensors if one.name == value.name)
            for size, dimension in zip(tensor.shape, value.type.tensor_type.shape.dim, strict=True):
                if isinstance(size, str):
                    dimension.dim_param = size
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output, proto.graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")

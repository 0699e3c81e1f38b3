"""PyTorch or Keras to ONNX, run by ONNX Runtime.

The payload is ``MODEL/model.onnx``: one file with its weights inside, whose inputs and outputs have
the names of the model's spec and a free batch dimension called ``batch``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.errors import SlipwayError, unknown
from pipelines.paths import Arrays, Card, Predict, Variant

if TYPE_CHECKING:
    import numpy as np
    import onnx

    from models.trained import TrainedModel

RUNTIME = ("onnx", "onnxruntime", "kserve")

CARD = Card(
    name="onnxruntime",
    title="ONNX Runtime",
    variants={
        "pytorch": Variant("exported from PyTorch by torch.onnx", "pytorch", ("torch", "onnxscript", *RUNTIME)),
        "keras": Variant(
            "exported from the Keras twin by tf2onnx", "tensorflow", ("keras", "tensorflow", "tf2onnx", *RUNTIME)
        ),
    },
    extra="onnxruntime",
    server="serving.open_inference.recipe",
    container="serving.open_inference.container",
    protocols=("open-inference-rest", "open-inference-rest-binary", "open-inference-grpc"),
    sources=("serving.open_inference.session",),
)

OPSET = 20
TF2ONNX_OPSET = 18  # the newest that tf2onnx 1.17 converts to


def package(model: TrainedModel, folder: Path, variant: str) -> None:
    """Write ``MODEL/model.onnx`` into ``folder``.

    Raises UserError for an unknown variant, and SlipwayError for an export that lost the signature.
    """
    import onnx

    if variant not in _EXPORTERS:
        raise unknown("variant of onnxruntime", variant, _EXPORTERS)
    proto = _EXPORTERS[variant](model)
    _tidy(proto, model)
    onnx.checker.check_model(proto, full_check=True)
    path = folder / model.name / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(proto.SerializeToString(deterministic=True))


def load(folder: Path, threads: int) -> Predict:
    """Load the model of ``folder`` into an ONNX Runtime session with ``threads`` threads.

    Raises SlipwayError unless there is exactly one.
    """
    from serving.open_inference.session import open_session

    found = sorted(folder.glob("*/model.onnx"))
    if len(found) != 1:
        raise SlipwayError(f"{folder} must hold one MODEL/model.onnx. Received: {len(found)}")
    session = open_session(found[0], threads)
    names = [output.name for output in session.get_outputs()]

    def predict(inputs: Arrays) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return predict


def _from_pytorch(model: TrainedModel) -> onnx.ModelProto:
    import torch

    spec = model.spec
    # Free dimensions have size 2 in the examples: torch.export treats a size of 1 as a constant.
    examples = tuple(
        torch.ones([2 if size is None else size for size in tensor.shape], dtype=getattr(torch, tensor.dtype))
        for tensor in spec.inputs
    )
    batch = torch.export.Dim("batch", min=1)
    program = torch.onnx.export(
        model.torch_module(),
        examples,
        dynamo=True,
        dynamic_shapes=tuple({0: batch} for _ in spec.inputs),
        opset_version=OPSET,
        input_names=[tensor.name for tensor in spec.inputs],
        output_names=[tensor.name for tensor in spec.outputs],
        verbose=False,
    )
    return program.model_proto


def _from_keras(model: TrainedModel) -> onnx.ModelProto:
    import tensorflow as tf
    import tf2onnx

    twin = model.keras_model()
    names = [tensor.name for tensor in model.spec.inputs]
    signature = [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in model.spec.inputs]

    # A function that returns a dictionary keeps the names of the outputs.
    @tf.function(input_signature=signature)
    def predict(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(twin(dict(zip(names, tensors, strict=True)), training=False))

    proto, _ = tf2onnx.convert.from_function(predict, signature, opset=TF2ONNX_OPSET)
    return proto


_EXPORTERS: dict[str, Callable[[TrainedModel], onnx.ModelProto]] = {
    "pytorch": _from_pytorch,
    "keras": _from_keras,
}


def _tidy(proto: onnx.ModelProto, model: TrainedModel) -> None:
    """Name the batch dimension, and drop the exporters' notes: stack traces with paths of this machine."""
    for values, tensors in ((proto.graph.input, model.spec.inputs), (proto.graph.output, model.spec.outputs)):
        names, expected = [value.name for value in values], [tensor.name for tensor in tensors]
        if sorted(names) != sorted(expected):
            raise SlipwayError(
                f"the export must keep the names {', '.join(expected)}. Received: {', '.join(names) or 'none'}"
            )
        for value in values:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output, proto.graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")

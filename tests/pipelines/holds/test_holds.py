"""Reads what real files of every format hold: one small model, taken through every variant of every path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lacking import skipped_for_want
from tiny_models import PackagedTiny

from pipelines.holds.executorch import _type
from pipelines.paths import path_module
from pipelines.paths.choose import Choice, choose
from pipelines.results import Holds

FLOAT32, FLOAT16, INT8 = {"float32": 84}, {"float16": 42}, {"int8": 21}
WITH_TABLE = {"float32": 84 + 1600}
"""PyTorch's programs keep the buffer that the network does not use."""
ATEN = {"aten.cat.default": 1, "aten.matmul.default": 1}
SCRIPT = {"aten::cat": 1, "aten::matmul": 1, "prim::ListConstruct": 1}
TENSORFLOW = {"ConcatV2": 1, "MatMul": 1, "ReadVariableOp": 1, "VarHandleOp": 1}
LITERT = {"CONCATENATION": 1, "FULLY_CONNECTED": 1}
ONNX = {"Concat": 1, "MatMul": 1}
GRAPH_MODEL = {"ConcatV2": 1, "MatMul": 1}
XNNPACK = {"XNNConcatenate2": 1, "XNNFullyConnected": 1}
ONNX_FACTS = {"IR version": "10", "opset": "20"}

EXPECTED: dict[str, tuple[dict[str, int], dict[str, int], dict[str, str]]] = {
    "tf-serving:fp32": ({"float32": 168, "int32": 4}, TENSORFLOW, {}),
    "tf-serving:xla": ({"float32": 168, "int32": 4}, TENSORFLOW, {"compiled by": "XLA, at the first call"}),
    "tf-serving:litert": (FLOAT32, LITERT, {"schema": "3"}),
    "litert:fp32": (FLOAT32, LITERT, {"schema": "3"}),
    "litert:fp16": (FLOAT16, {**LITERT, "DEQUANTIZE": 1}, {}),
    "litert:int8-dynamic": (INT8, LITERT, {}),
    "litert:int8": (INT8, {**LITERT, "QUANTIZE": 2, "DEQUANTIZE": 1}, {}),
    "litert-torch:fp32": (FLOAT32, LITERT, {"schema": "3"}),
    "litert-torch:int8": (INT8, {**LITERT, "QUANTIZE": 2, "DEQUANTIZE": 1}, {}),
    "torchserve:export": (WITH_TABLE, ATEN, {"dialect": "TRAINING"}),
    "torchserve:torchscript": (FLOAT32, SCRIPT, {}),
    "torchserve:aotinductor": ({"float32": 128}, {"aoti_torch_cpu_mm_out": 1, "cpp_fused_cat": 1}, {}),
    "torch-export:fp32": (WITH_TABLE, ATEN, {"dialect": "TRAINING"}),
    "torchscript:traced": (WITH_TABLE, SCRIPT, {}),
    "torchscript:frozen": (FLOAT32, SCRIPT, {}),
    "torch-compile:fp32": (WITH_TABLE, ATEN, {}),
    "aotinductor:fp32": ({"float32": 128}, {"aoti_torch_cpu_mm_out": 1, "cpp_fused_cat": 1}, {}),
    "aotinductor:freezing": ({}, {"cpp_fused_cat": 1}, {}),
    "aotinductor:int8": ({}, {"cpp_fused_cat": 1}, {}),
    "executorch:fp32": (WITH_TABLE, XNNPACK, {"parts for XNNPACK": "1"}),
    # XNNPACK's quantiser takes layers, not a product with a buffer: the weights stay, and only the inputs are int8;
    # with Inductor's, nothing is.
    "executorch:int8": (FLOAT32, {**XNNPACK, "XNNConvert": 3}, {}),
    "onnxruntime:pytorch": (FLOAT32, ONNX, ONNX_FACTS),
    "onnxruntime:keras": (FLOAT32, ONNX, {"opset": "18"}),
    "onnxruntime:fp16": (FLOAT16, {**ONNX, "Cast": 3}, ONNX_FACTS),
    "onnxruntime:int8": ({"int8": 24, "uint8": 4}, {**ONNX, "QuantizeLinear": 4, "DequantizeLinear": 5}, ONNX_FACTS),
    "onnxruntime:ort": (FLOAT32, ONNX, {**ONNX_FACTS, "format": "ORT"}),
    "openvino:fp32": (FLOAT32, ONNX, {"precision": "f32", "IR version": "11"}),
    "openvino:fp16": (FLOAT16, {**ONNX, "Convert": 1}, {"precision": "f16"}),
    "openvino:bf16": (FLOAT32, ONNX, {"precision": "bf16"}),
    "openvino:int8": (INT8, {**ONNX, "FakeQuantize": 2, "Convert": 1, "Multiply": 1}, {"precision": "f32"}),
    **dict.fromkeys(("tfjs:fp32", "tfjs:webgl"), (FLOAT32, GRAPH_MODEL, {"format": "graph-model"})),
    "tfjs:fp16": (FLOAT16, GRAPH_MODEL, {"format": "graph-model"}),
    "onnxruntime-web:fp32": (FLOAT32, ONNX, ONNX_FACTS),
    "onnxruntime-web:fp16": (FLOAT16, {**ONNX, "Cast": 3}, ONNX_FACTS),
    "onnxruntime-web:int8": (
        {"int8": 24, "uint8": 4},
        {**ONNX, "QuantizeLinear": 4, "DequantizeLinear": 5},
        ONNX_FACTS,
    ),
    "litert-web:fp32": (FLOAT32, LITERT, {"schema": "3"}),
    "litert-web:fp16": (FLOAT16, {**LITERT, "DEQUANTIZE": 1}, {}),
    "litert-web:int8-dynamic": (INT8, LITERT, {}),
    "litert-web:int8": (INT8, {**LITERT, "QUANTIZE": 2, "DEQUANTIZE": 1}, {}),
}
"""Variant -> types with their bytes, operators with their number, facts: all of them must be there."""
UNQUANTISED = ("executorch:int8", "aotinductor:int8")
"""Variants whose quantiser leaves the weights of this model."""


def test_every_variant_has_its_expectation() -> None:
    assert [choice.name for choice in choose([])] == list(EXPECTED)


@pytest.mark.parametrize("choice", choose([]), ids=lambda choice: choice.name)
def test_what_is_in_an_artifact_is_read_out_of_it(choice: Choice, packaged_tiny: PackagedTiny) -> None:
    with skipped_for_want():
        payload = packaged_tiny("two_inputs", choice)
    found = path_module(choice.card.name).holds(payload)
    weights, operators, facts = EXPECTED[choice.name]
    for have, want in ((found.weights, weights), (found.operators, operators), (found.facts, facts)):
        assert {name: have.get(name) for name in want} == want, found  # type: ignore[attr-defined]
        assert list(have) == sorted(have)
    promised = choice.chosen.precision
    assert "int8" in found.weights or not promised.startswith("int8") or choice.name in UNQUANTISED
    assert promised != "fp32" or set(found.weights) <= {"float32", "int32", "int64"}
    assert found.custom == ()
    assert found.delegated == (1 if choice.card.name == "executorch" else None)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(Exception, match="parsing"):
        path_module("onnxruntime").holds(tmp_path)


def _onnx(domain: str) -> Any:
    """A graph with a condition, whose branches have a node and a constant of their own."""
    from onnx import TensorProto, helper

    value = helper.make_tensor("one", TensorProto.BFLOAT16, [2], [1.0, 2.0])
    branch = helper.make_graph(
        [helper.make_node("Strange", ["one"], ["out"], domain=domain)],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.BFLOAT16, [2])],
        [value],
    )
    either = helper.make_node("If", ["choice"], ["y"], then_branch=branch, else_branch=branch)
    inputs = [helper.make_tensor_value_info("choice", TensorProto.BOOL, [])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.BFLOAT16, [2])]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(domain, 3)]
    return helper.make_model(helper.make_graph([either], "g", inputs, outputs), opset_imports=opsets, ir_version=10)


def test_custom_operators_and_the_graphs_inside_nodes_are_seen(tmp_path: Path) -> None:
    import onnx

    (tmp_path / "model").mkdir()
    onnx.save(_onnx("org.strange"), tmp_path / "model" / "model.onnx")
    assert path_module("onnxruntime").holds(tmp_path) == Holds(
        weights={"bfloat16": 8},
        operators={"If": 1, "org.strange::Strange": 2},
        custom=("org.strange::Strange",),
        facts={"IR version": "10", "opset": "20", "opset org.strange": "3"},
    )


def test_a_flex_operator_is_custom(tmp_path: Path) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((3,), tf.float32)])
    def error_function(values: Any) -> Any:
        return tf.math.erf(values)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([error_function.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.tflite").write_bytes(converter.convert())
    found = path_module("litert").holds(tmp_path)
    assert (found.custom, found.operators) == (("FlexErf",), {"FlexErf": 1})


@pytest.mark.parametrize(
    ("dtype", "names"),
    [
        ("float32", "fp32"), ("float16", "fp16"), ("int8", "qint8 qcint8 qdint8"), ("uint8", "quint8"),
        ("int32", "qint32 qcint32"), ("int4", "qcint4 qbint4"),
    ],
)  # fmt: skip
def test_types_of_xnnpack_are_named_as_numpys(dtype: str, names: str) -> None:
    assert {_type(f"xnn_datatype_{name}") for name in names.split()} == {dtype}

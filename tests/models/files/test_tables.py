"""The tables of message fields, operators and types, against the libraries that they are of."""

from __future__ import annotations

import re
from typing import Any

import pytest

from models.files import onnx_file, saved_model
from models.files.inside import messages, onnx_tensors, torch_signature
from models.files.inside.tensorflow_graph import REACH_OUTSIDE, computing
from models.files.inside.tensorflow_walk import SAVER

NAMED_DIFFERENTLY = {
    **{"TensorTypeProto": ("TypeProto", "Tensor"), "Dimension": ("TensorShapeProto", "Dimension"), "Other": None},
    **{
        "MetaInfoDef": ("MetaGraphDef", "MetaInfoDef"),
        "Dim": ("TensorShapeProto", "Dim"),
        "ArgDef": ("OpDef", "ArgDef"),
    },
    **{"AttrEntry": ("NodeDef", "AttrEntry"), "ListValue": ("AttrValue", "ListValue")},
    **{name: ("CollectionDef", name) for name in ("NodeList", "BytesList")},
    **{name: ("TensorInfo", name) for name in ("CooSparse", "CompositeTensor")},
    **{
        "CollectionEntry": ("MetaGraphDef", "CollectionDefEntry"),
        "ConcreteFunctionEntry": ("SavedObjectGraph", "ConcreteFunctionsEntry"),
    },
    **{"SignatureDefEntry": ("MetaGraphDef", "SignatureDefEntry"), "TensorEntry": ("SignatureDef", "InputsEntry")},
}
OF_ANOTHER_TYPE = {"enum": "int64", "int32": "int64", "uint64": "int64"}


def descriptors(table: str) -> Any:
    """A function that finds a message's own descriptor by name."""
    if table == "onnx":
        from onnx import onnx_ml_pb2

        return onnx_ml_pb2.DESCRIPTOR.message_types_by_name
    from tensorflow.core.protobuf import saved_model_pb2

    found: dict[str, Any] = {}
    waiting = [saved_model_pb2.DESCRIPTOR]
    while waiting:
        file = waiting.pop()
        found |= dict(file.message_types_by_name)
        waiting += file.dependencies
    return found


@pytest.mark.parametrize(("table", "content"), [("onnx", messages.ONNX), ("tensorflow", messages.TENSORFLOW)])
def test_fields_have_their_numbers(table: str, content: dict[str, Any]) -> None:
    known, checked = descriptors(table), 0
    for title, fields in content.items():
        outer = NAMED_DIFFERENTLY.get(title, (title,))
        if outer is None:
            continue
        message = known[outer[0]]
        for name in outer[1:]:
            message = message.nested_types_by_name[name]
        for field, (number, kind) in fields.items():
            own = message.fields_by_name[field]
            assert own.number == number, f"{title}.{field}"
            assert (own.label == own.LABEL_REPEATED) == kind.endswith("*"), f"{title}.{field}"
            checked += 1
    assert checked > 40


def test_operators_of_tensorflow_are_known_and_touch_nothing() -> None:
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session as session

    every = op_def_pb2.OpList.FromString(session.TF_GetBuffer(session.TF_GetAllOpList()))
    names = {one.name for one in every.op}
    assert computing() - names == set()
    assert computing() & {*REACH_OUTSIDE, *SAVER} == set()
    reaching = re.compile(
        r"File|Dataset|PyFunc|Rpc|RemoteCall|Debug|Dump|Save|Restore|Reader|Queue|Send|Recv|Summary|TPU"
    )
    assert [name for name in computing() if reaching.search(name)] == [
        name for name in computing() if name.startswith("InitializeTableFromTextFile")
    ]


def test_types_of_tensors() -> None:
    import numpy as np
    import onnx
    import tensorflow as tf
    from torch._export.serde.schema import ScalarType

    for number, name in saved_model.DTYPES.items():
        assert tf.dtypes.as_dtype(number).name.replace("string", "str") == name
        assert name == "str" or tf.dtypes.as_dtype(number).size == saved_model.ITEMSIZE.get(
            number, 4 if number != 18 else 16
        )
    for number, name in onnx_file.DTYPES.items():
        numpy = onnx.helper.tensor_dtype_to_np_dtype(number)
        assert name == ("str" if numpy == np.object_ else numpy.name)
        assert name == "str" or numpy.itemsize == onnx_tensors.ITEMSIZE.get(number, 4 if number != 8 else 8)
    same = {"uint8": "BYTE", "int8": "CHAR", "int16": "SHORT", "int32": "INT", "int64": "LONG", "float32": "FLOAT"}
    numbers = {name: number for number, name in torch_signature.DTYPES.items()}
    assert {name: ScalarType(numbers[name]).name for name in same} == same

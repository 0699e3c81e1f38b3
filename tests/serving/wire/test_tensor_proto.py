"""Tensors on the wire, against TensorFlow's own conversions."""

from __future__ import annotations

import numpy as np
import pytest

from serving.wire.tensor_proto import TensorParsingError, from_array, to_array

NAMES = {
    "float32": "float",
    "float64": "double",
    "float16": "half",
    "object": "string",
}
DTYPES = [
    *("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("bool", "complex64", "complex128", "object"),
]


def sample(dtype: str) -> np.ndarray:
    if dtype == "object":
        return np.array([[b"a", b"\xff\0"], [b"", b"long" * 99]], object)
    values = np.array([[0, 1, 2], [3, 100, 7]])
    if np.dtype(dtype).kind in "ifc":
        values = values * -1
    return (values.astype(dtype) * np.dtype(dtype).type(1.5)) if np.dtype(dtype).kind in "fc" else values.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("as_content", [False, True])
def test_round_trip_and_tensorflow_agrees(dtype, as_content):
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    name = NAMES.get(dtype, dtype)
    for array in (sample(dtype), sample(dtype)[:0], sample(dtype)[0, 0]):
        array = np.asarray(array, dtype)
        proto = tensor_pb2.TensorProto()
        from_array(proto, array, name, tf.as_dtype(array.dtype).as_datatype_enum, as_content)
        np.testing.assert_array_equal(np.asarray(tf.make_ndarray(proto)), array)
        np.testing.assert_array_equal(to_array(proto, name, array.dtype), array)
        assert bool(proto.tensor_content) == (as_content and dtype != "object" and array.size > 0)
    np.testing.assert_array_equal(
        to_array(tf.make_tensor_proto(sample(dtype)), name, sample(dtype).dtype), sample(dtype)
    )


def test_bfloat16():
    import tensorflow as tf

    array = tf.constant([1.5, -2.0], tf.bfloat16).numpy()
    np.testing.assert_array_equal(to_array(tf.make_tensor_proto(array), "bfloat16", array.dtype), array)


@pytest.mark.parametrize(
    ("values", "expected"), [([], [0, 0, 0]), ([5], [5, 5, 5]), ([1, 2], [1, 2, 2]), ([1, 2, 3, 4], [1, 2, 3])]
)
@pytest.mark.parametrize(("dtype", "field"), [("float", "float_val"), ("int32", "int_val"), ("string", "string_val")])
def test_missing_values_are_copies_of_the_last(values, expected, dtype, field):
    from tensorflow.core.framework import tensor_pb2

    proto = tensor_pb2.TensorProto()
    proto.tensor_shape.dim.add(size=3)
    numpy = {"float": np.dtype("f4"), "int32": np.dtype("i4"), "string": np.dtype("O")}[dtype]
    if dtype == "string":
        values, expected = ([str(value or "").encode() for value in some] for some in (values, expected))
    getattr(proto, field).extend(values)
    assert to_array(proto, dtype, numpy).tolist() == list(expected)


@pytest.mark.parametrize("sizes", [[-1], [3]])
def test_damaged(sizes):
    from tensorflow.core.framework import tensor_pb2

    proto = tensor_pb2.TensorProto(tensor_content=b"12345")
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    with pytest.raises(TensorParsingError):
        to_array(proto, "float", np.dtype("f4"))


def test_a_huge_shape_with_no_values_is_refused():
    from tensorflow.core.framework import tensor_pb2

    proto = tensor_pb2.TensorProto()
    for _ in range(4):
        proto.tensor_shape.dim.add(size=2**40)
    with pytest.raises(TensorParsingError):
        to_array(proto, "float", np.dtype("f4"))

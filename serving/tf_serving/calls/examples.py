"""Read the examples of a classify or regress request as serialised ``tf.train.Example`` messages.

Rules and messages are those of tensorflow/serving (util/json_tensor.cc for JSON,
servables/tensorflow/util.cc for the message Input). The serialised context is put before each
serialised example: parsing the two together merges their features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serving.tf_serving.base.deadlines import check
from serving.tf_serving.base.errors import ServingError, invalid
from serving.tf_serving.codecs.json_base64 import decode_base64, is_base64
from serving.tf_serving.codecs.json_text import brief, encode_text, type_name

_KINDS = {"int64": "int64_list", "float": "float_list", "bytes": "bytes_list"}


def from_json(request: dict[str, Any]) -> np.ndarray:
    """Return the serialised examples of a REST request, an object array of bytes of shape [examples].

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    prefix = _example(request["context"]).SerializeToString() if "context" in request else b""
    if "examples" not in request:
        raise invalid(
            f"JSON Value: {brief(request)} When method is classify, key 'examples' is expected and was not found"
        )
    examples = request["examples"]
    if not isinstance(examples, list):
        raise invalid(f"JSON Value: {brief(request)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise invalid(f"JSON Value: {brief(request)} 'examples' value is an empty array")
    return _texts([prefix + _example(example).SerializeToString() for example in examples])


def from_input(request_input: Any) -> np.ndarray:
    """Return the serialised examples of an Input message, an object array of bytes of shape [examples].

    Raises:
        ServingError: INVALID_ARGUMENT, there are no examples.
    """
    kind = request_input.WhichOneof("kind")
    examples = getattr(request_input, kind).examples if kind else ()
    if not examples:
        raise invalid("Input is empty.")
    prefix = b""
    if kind == "example_list_with_context":
        prefix = request_input.example_list_with_context.context.SerializeToString()
    return _texts([prefix + example.SerializeToString() for example in examples])


def _texts(items: list[bytes]) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def _example(value: Any) -> Any:
    from tensorflow.core.example import example_pb2

    check()
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    example = example_pb2.Example()
    for name, content in value.items():
        _fill(example.features.feature[_text(name)], name, content if isinstance(content, list) else [content])
    return example


def _fill(feature: Any, name: str, items: list[Any]) -> None:
    first: str | None = None
    values: list[Any] = []
    for item in items:
        kind, value = _feature_value(name, item)
        if first not in (None, kind):
            raise invalid(f"Unexpected element type in feature: {name} expecting type: {first}")
        if kind == "int64" and not -(2**63) <= value < 2**63:
            raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        if kind == "bytes" and isinstance(value, dict):
            value = decode_base64(value)
        first = kind
        values.append(value)
    if first == "float":
        with np.errstate(over="ignore"):  # a too large number becomes infinity, as for tensors
            values = np.array(values).astype(np.float32).tolist()
    if first is not None:
        getattr(feature, _KINDS[first]).value.extend(values)


def _feature_value(name: str, item: Any) -> tuple[str, Any]:
    """Return the kind of feature for a JSON value, and the value; base64 is not decoded yet."""
    if isinstance(item, bool | int):  # a boolean is 1 or 0
        return "int64", int(item)
    if isinstance(item, float):
        return "float", item
    if isinstance(item, str):
        return "bytes", encode_text(item)
    if is_base64(item):
        return "bytes", item
    raise invalid(f"Feature: {name} has element with unexpected JSON type: {type_name(item)}")


def _text(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ServingError("INVALID_ARGUMENT", f"the name of a feature is not UTF-8. Received: {name!a}") from error
    return name

"""Parse configuration files in protobuf's text format, with the messages that tensorflow-serving-api lacks."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from serving.tf_serving.base.errors import ServingError, invalid

_PACKAGE = "tensorflow.serving"
_FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    # config/ssl_config.proto
    "SSLConfig": {
        "server_key": (1, "string"),
        "server_cert": (2, "string"),
        "custom_ca": (3, "string"),
        "client_verify": (4, "bool"),
    },
    # config/monitoring_config.proto
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, "PrometheusConfig")},
    # servables/tensorflow/session_bundle_config.proto; the wrappers are google/protobuf/wrappers.proto's
    "Int64Value": {"value": (1, "int64")},
    "BoolValue": {"value": (1, "bool")},
    "StringValue": {"value": (1, "string")},
    "BatchingParameters": {
        "max_batch_size": (1, "Int64Value"),
        "batch_timeout_micros": (2, "Int64Value"),
        "max_enqueued_batches": (3, "Int64Value"),
        "num_batch_threads": (4, "Int64Value"),
        "thread_pool_name": (5, "StringValue"),
        "allowed_batch_sizes": (6, "repeated int64"),
        "pad_variable_length_inputs": (7, "bool"),
        "enable_large_batch_splitting": (8, "BoolValue"),
        "max_execution_batch_size": (9, "Int64Value"),
    },
}
"""The number and type of each field, by message, from tensorflow/serving's .proto files."""


@cache
def message_class(name: str) -> Any:
    """Return the class of one of the messages in :data:`_FIELDS`."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    # A separate pool, so that the names do not collide with generated classes of the same messages.
    file = descriptor_pb2.FileDescriptorProto(name="slipway/tf_serving.proto", package=_PACKAGE, syntax="proto3")
    for message, fields in _FIELDS.items():
        made = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            label = kinds.LABEL_REPEATED if kind.startswith("repeated ") else kinds.LABEL_OPTIONAL
            kind = kind.removeprefix("repeated ")
            entry = made.field.add(name=field, number=number, label=label)
            if kind in _FIELDS:
                entry.type, entry.type_name = kinds.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                entry.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def parse_text(text: str, message: Any, origin: str) -> Any:
    """Fill ``message`` from a text and return it. ``origin`` is the source of the text, for the error.

    Raises:
        ServingError: INVALID_ARGUMENT, with the messages of tensorflow/serving and protobuf.
    """
    from google.protobuf import text_format

    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        problem = " ".join(str(error).split())
        name = message.DESCRIPTOR.full_name
        raise invalid(f"Error parsing text-format {name}: {problem}. Invalid protobuf file: '{origin}'") from error


def read_text(path: str, flag: str, name: str) -> Any:
    """Read the message ``name`` from the file that a flag names.

    Raises:
        ServingError: the file cannot be read or parsed.
    """
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ServingError("NOT_FOUND", f"cannot read --{flag}: {reason}. Received: {path}") from error
    return parse_text(text, message_class(name)(), path)

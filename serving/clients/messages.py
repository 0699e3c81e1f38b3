"""Protobuf message classes from a compact table, made at run time.

A client needs a handful of messages; the packages that ship them generated bring a whole framework
along (tensorflow, kserve: seconds of import). The same wire format comes from a table::

    TABLE = {
        "InferParameter": {
            "bool_param": "bool = 1 oneof choice",
            "int64_param": "int64 = 2 oneof choice",
        },
        "InferRequest": {
            "model_name": "string = 1",
            "parameters": "map<string, InferParameter> = 4",
            "inputs": "repeated InferRequest.Tensor = 5",
        },
        "InferRequest.Tensor": {"name": "string = 1", "shape": "repeated int64 = 3"},
    }
    classes = messages("inference", TABLE)
    request = classes["InferRequest"](model_name="m")

A field is ``[repeated] TYPE = NUMBER [oneof NAME]`` or ``map<KEY, VALUE> = NUMBER``. ``TYPE`` is a
scalar of the protobuf language or a message of the same table, by its full name there; a dotted
name is a message nested in another. Rules are proto3's: repeated numbers are packed. An enum is
declared as ``int32``, which has the same bytes. Names of messages never travel, so a table may put
messages of several packages into one; fields that are left out of it are kept as unknown fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Table = Mapping[str, Mapping[str, str]]

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    name: getattr(_Field, f"TYPE_{name.upper()}")
    for name in (
        *("double", "float", "bool", "string", "bytes"),
        *("int32", "int64", "uint32", "uint64", "sint32", "sint64"),
        *("fixed32", "fixed64", "sfixed32", "sfixed64"),
    )
}
_MAP = re.compile(r"map<\s*(\w+)\s*,\s*([\w.]+)\s*>\s*=\s*(\d+)")
_FIELD = re.compile(r"(repeated\s+)?([\w.]+)\s*=\s*(\d+)(?:\s+oneof\s+(\w+))?")


def messages(package: str, table: Table) -> dict[str, Any]:
    """The message classes of ``table``, by their names in it.

    They live in a descriptor pool of their own: the generated classes of the same messages may be
    imported in the same process, and two tables may use the same names.

    Raises:
        ValueError: a field that is not written as the module's docstring says, or a type that is
            neither a scalar nor a message of the table.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package.replace('.', '/')}.proto", package=package, syntax="proto3"
    )
    declared: dict[str, descriptor_pb2.DescriptorProto] = {}
    for name in sorted(table):  # a message before those nested in it
        parent, _, own_name = name.rpartition(".")
        if parent and parent not in declared:
            raise ValueError(f"a nested message needs the one around it in the table. Received: {name}")
        declared[name] = declared[parent].nested_type.add() if parent else file.message_type.add()
        declared[name].name = own_name
    for name, fields in table.items():
        for field_name, text in fields.items():
            _add_field(package, table, name, declared[name], field_name, text)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in table}


def _add_field(
    package: str, table: Table, owner_name: str, owner: descriptor_pb2.DescriptorProto, name: str, text: str
) -> None:
    field = owner.field.add(name=name, label=_Field.LABEL_OPTIONAL)
    if match := _MAP.fullmatch(text):
        key, value, number = match.groups()
        # A map is a repeated message with the fields key and value (protobuf's language guide, "Maps").
        entry = owner.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        _set_type(package, table, entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL), key)
        _set_type(package, table, entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), value)
        field.label = _Field.LABEL_REPEATED
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{package}.{owner_name}.{entry.name}"
    elif match := _FIELD.fullmatch(text):
        repeated, kind, number, oneof = match.groups()
        _set_type(package, table, field, kind)
        if repeated:
            field.label = _Field.LABEL_REPEATED
        if oneof:
            known = [declared.name for declared in owner.oneof_decl]
            if oneof not in known:
                owner.oneof_decl.add(name=oneof)
            field.oneof_index = [declared.name for declared in owner.oneof_decl].index(oneof)
    else:
        raise ValueError(
            f"field {owner_name}.{name} must be '[repeated] TYPE = NUMBER [oneof NAME]' or "
            f"'map<KEY, VALUE> = NUMBER'. Received: {text!r}"
        )
    field.number = int(number)


def _set_type(package: str, table: Table, field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    elif kind in table:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{package}.{kind}"
    else:
        raise ValueError(f"a field's type must be a protobuf scalar or a message of the table. Received: {kind!r}")

"""Decodes the protobuf messages of ONNX and TensorFlow by tables of the few fields that are read.

Neither library is imported, so that a file can be read where neither is installed, and in milliseconds. Fields that no
table names are skipped.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from models.files import RefusedFile

MOST_BYTES = 2**31 - 1
"""The limit of protobuf."""
MOST_FIELDS = 1_000_000
_SCALARS = {
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
}

# message: {field: (number, type)}; "*" marks a repeated field. A map is a repeated message of key and value.
ONNX = {
    "ModelProto": {
        "ir_version": (1, "int64"),
        "producer_name": (2, "string"),
        "producer_version": (3, "string"),
        "graph": (7, "GraphProto"),
        "opset_import": (8, "OperatorSetIdProto*"),
        "training_info": (20, "TrainingInfoProto*"),
        "functions": (25, "FunctionProto*"),
    },
    "GraphProto": {
        "node": (1, "NodeProto*"),
        "initializer": (5, "TensorProto*"),
        "input": (11, "ValueInfoProto*"),
        "output": (12, "ValueInfoProto*"),
        "sparse_initializer": (15, "SparseTensorProto*"),
    },
    "NodeProto": {
        "input": (1, "string*"),
        "output": (2, "string*"),
        "op_type": (4, "string"),
        "attribute": (5, "AttributeProto*"),
        "domain": (7, "string"),
    },
    "AttributeProto": {
        "name": (1, "string"),
        "i": (3, "int64"),
        "t": (5, "TensorProto"),
        "g": (6, "GraphProto"),
        "tensors": (10, "TensorProto*"),
        "graphs": (11, "GraphProto*"),
        "sparse_tensor": (22, "SparseTensorProto"),
        "sparse_tensors": (23, "SparseTensorProto*"),
    },
    "TensorProto": {
        "dims": (1, "int64*"),
        "data_type": (2, "int64"),
        "name": (8, "string"),
        "raw_data": (9, "bytes"),
        "external_data": (13, "StringStringEntryProto*"),
        "data_location": (14, "int64"),
    },
    "SparseTensorProto": {"values": (1, "TensorProto"), "indices": (2, "TensorProto"), "dims": (3, "int64*")},
    "ValueInfoProto": {"name": (1, "string"), "type": (2, "TypeProto")},
    "TypeProto": {"tensor_type": (1, "TensorTypeProto"), "sequence_type": (4, "Other"), "map_type": (5, "Other")},
    "Other": {},
    "TensorTypeProto": {"elem_type": (1, "int64"), "shape": (2, "TensorShapeProto")},
    "TensorShapeProto": {"dim": (1, "Dimension*")},
    "Dimension": {"dim_value": (1, "int64"), "dim_param": (2, "string")},
    "OperatorSetIdProto": {"domain": (1, "string"), "version": (2, "int64")},
    "FunctionProto": {
        "name": (1, "string"),
        "node": (7, "NodeProto*"),
        "opset_import": (9, "OperatorSetIdProto*"),
        "domain": (10, "string"),
    },
    "StringStringEntryProto": {"key": (1, "string"), "value": (2, "string")},
    "TrainingInfoProto": {"algorithm": (2, "GraphProto")},
}
TENSORFLOW = {
    "SavedModel": {"saved_model_schema_version": (1, "int64"), "meta_graphs": (2, "MetaGraphDef*")},
    "MetaGraphDef": {
        "meta_info_def": (1, "MetaInfoDef"),
        "graph_def": (2, "GraphDef"),
        "saver_def": (3, "SaverDef"),
        "collection_def": (4, "CollectionEntry*"),
        "signature_def": (5, "SignatureDefEntry*"),
        "asset_file_def": (6, "AssetFileDef*"),
        "object_graph_def": (7, "SavedObjectGraph"),
    },
    "MetaInfoDef": {"tags": (4, "string*"), "tensorflow_version": (5, "string")},
    "GraphDef": {"node": (1, "NodeDef*"), "library": (2, "FunctionDefLibrary")},
    "NodeDef": {"name": (1, "string"), "op": (2, "string"), "input": (3, "string*"), "attr": (5, "AttrEntry*")},
    "AttrEntry": {"key": (1, "string"), "value": (2, "AttrValue")},
    "AttrValue": {
        "list": (1, "ListValue"),
        "s": (2, "bytes"),
        "type": (6, "int64"),
        "shape": (7, "TensorShapeProto"),
        "func": (10, "NameAttrList"),
    },
    "ListValue": {"func": (9, "NameAttrList*")},
    "NameAttrList": {"name": (1, "string")},
    "FunctionDefLibrary": {"function": (1, "FunctionDef*")},
    "FunctionDef": {"signature": (1, "OpDef"), "node_def": (3, "NodeDef*"), "attr": (5, "AttrEntry*")},
    "OpDef": {"name": (1, "string"), "input_arg": (2, "ArgDef*")},
    "ArgDef": {"name": (1, "string")},
    "SaverDef": {
        "filename_tensor_name": (1, "string"),
        "save_tensor_name": (2, "string"),
        "restore_op_name": (3, "string"),
    },
    "CollectionEntry": {"key": (1, "string"), "value": (2, "CollectionDef")},
    "CollectionDef": {"node_list": (1, "NodeList"), "bytes_list": (2, "BytesList")},
    "NodeList": {"value": (1, "string*")},
    "BytesList": {"value": (1, "bytes*")},
    "VariableDef": {"initializer_name": (2, "string")},
    "SignatureDefEntry": {"key": (1, "string"), "value": (2, "SignatureDef")},
    "SignatureDef": {"inputs": (1, "TensorEntry*"), "outputs": (2, "TensorEntry*")},
    "TensorEntry": {"key": (1, "string"), "value": (2, "TensorInfo")},
    "TensorInfo": {
        "name": (1, "string"),
        "dtype": (2, "int64"),
        "tensor_shape": (3, "TensorShapeProto"),
        "coo_sparse": (4, "CooSparse"),
        "composite_tensor": (5, "CompositeTensor"),
    },
    "CooSparse": {
        "values_tensor_name": (1, "string"),
        "indices_tensor_name": (2, "string"),
        "dense_shape_tensor_name": (3, "string"),
    },
    "CompositeTensor": {"components": (2, "TensorInfo*")},
    "TensorShapeProto": {"dim": (2, "Dim*"), "unknown_rank": (3, "bool")},
    "Dim": {"size": (1, "int64")},
    "AssetFileDef": {"tensor_info": (1, "TensorInfo"), "filename": (2, "string")},
    "SavedObjectGraph": {"nodes": (1, "SavedObject*"), "concrete_functions": (2, "ConcreteFunctionEntry*")},
    "ConcreteFunctionEntry": {"key": (1, "string")},
    "SavedObject": {
        "function": (6, "SavedFunction"),
        "variable": (7, "SavedVariable"),
        "bare_concrete_function": (8, "SavedBareConcreteFunction"),
    },
    "SavedFunction": {"concrete_functions": (1, "string*")},
    "SavedBareConcreteFunction": {"concrete_function_name": (1, "string")},
    "SavedVariable": {"dtype": (1, "int64"), "shape": (2, "TensorShapeProto"), "trainable": (3, "bool")},
}


@cache
def _classes(name: str) -> dict[str, Any]:
    """Make the classes of one table, in a pool of their own: the libraries' own are not touched."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=name, syntax="proto3")
    for title, fields in {"onnx": ONNX, "tensorflow": TENSORFLOW}[name].items():
        message = file.message_type.add(name=title)
        for field, (number, kind) in fields.items():
            one = message.field.add(name=field, number=number, label=3 if kind.endswith("*") else 1)
            if scalar := _SCALARS.get(kind.rstrip("*")):
                one.type = scalar
            else:
                one.type, one.type_name = one.TYPE_MESSAGE, f".{name}.{kind.rstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindFileByName(file.name).message_types_by_name
    return {title: message_factory.GetMessageClass(one) for title, one in found.items()}


def decoded(table: str, message: str, raw: bytes, what: str) -> Any:
    """Decode a message of the table ``onnx`` or ``tensorflow``; ``what`` names it. Raises RefusedFile."""
    if len(raw) > MOST_BYTES:
        raise RefusedFile(f"{what} may have {MOST_BYTES:,} bytes, which is protobuf's limit. Received: {len(raw):,}")
    try:
        return _classes(table)[message].FromString(raw)
    except DecodeError:
        raise RefusedFile(f"{what} cannot be decoded. The file is damaged or cut short") from None


def top_fields(raw: memoryview) -> dict[int, int] | None:
    """Map the numbers of a message's own fields to their wire types, without decoding; None for what is no message."""
    found: dict[int, int] = {}
    place = 0
    for _ in range(MOST_FIELDS):
        if place >= len(raw):
            break
        tag, place = _varint(raw, place)
        number, wire = tag >> 3, tag & 7
        found.setdefault(number, wire)
        if wire not in (0, 1, 2, 5) or not number:
            return None
        if wire in (0, 2):
            value, place = _varint(raw, place)
        place += {0: 0, 1: 8, 2: value if wire == 2 else 0, 5: 4}[wire]
    return found if place == len(raw) else None


def _varint(raw: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(raw):
            return 0, len(raw) + 1  # cut short: no message
        byte = raw[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return value, place

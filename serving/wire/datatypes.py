"""Map numpy's types to the Open Inference Protocol's ("Tensor Data Types" of its specification).

``BYTES`` and ``BF16`` are missing, because numpy has no array type with the same bytes.
"""

from __future__ import annotations

DATATYPES: dict[str, str] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
"""numpy's name -> the protocol's."""

NUMPY: dict[str, str] = {protocol: name for name, protocol in DATATYPES.items()}
"""The protocol's name -> numpy's."""

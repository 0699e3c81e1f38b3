"""Numbers of JSON, or of gRPC's typed contents, as arrays: a number that the datatype cannot hold is refused.

numpy would make 1e39 an infinity, 1.5 a 1 and the text "1" a 1.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from serving.wire.datatypes import NUMPY

_LARGEST_EXACT = 2**53  # as a double


def to_array(values: Any, datatype: str) -> np.ndarray:
    """Return the array of a list, nested or not. Raises ValueError or OverflowError."""
    kinds, dtype = _kinds(values), np.dtype(NUMPY[datatype])
    if not kinds <= {int, float, bool}:
        raise ValueError("not all values are numbers")
    if kinds <= {int} and dtype.kind in "iu":
        return np.array(values, dtype)  # numpy refuses what is out of range
    found = np.array(values)
    with np.errstate(over="ignore", invalid="ignore"):
        array = found.astype(dtype)
    if dtype.kind == "f":
        fits = bool not in kinds and not (np.isinf(array) & np.isfinite(found)).any()
    elif dtype.kind == "b":
        fits = float not in kinds and (not found.size or (found.min() >= 0 and found.max() <= 1))
    else:
        fits = bool not in kinds and (np.abs(found) <= _LARGEST_EXACT).all() and (array == found).all()
    if not fits:
        raise ValueError("a value is out of range, or of another kind")
    return array


def _kinds(nested: Any) -> set[type]:
    """Return the types of the values; numpy, beside one long text, would make every value as long as that."""
    level = nested
    while (kinds := set(map(type, level))) == {list}:
        level = list(chain.from_iterable(level))
    return kinds

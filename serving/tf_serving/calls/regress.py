"""Regress examples: examples in, one number per example out.

Checks and messages are those of tensorflow/serving (servables/tensorflow/regressor.cc). A signature has
one input, ``inputs``, and one output, ``outputs``, of shape [examples] or [examples, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.tf_serving.base.errors import ServingError, invalid
from serving.tf_serving.runtime.servable import Signature

METHOD = "tensorflow/serving/regress"
INPUT, OUTPUT = "inputs", "outputs"


def wanted(signature: Signature, check_method: bool) -> list[str]:
    """Choose the outputs of a signature that a regression needs.

    Raises:
        ServingError: the signature is not for regression; its method is checked only if ``check_method``.
    """
    if check_method and signature.method != METHOD:
        raise invalid(f"Expected regression signature method_name to be {METHOD}. Was: {signature.method}")
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if INPUT not in signature.inputs:
        raise ServingError("FAILED_PRECONDITION", f"No regression inputs found in SignatureDef: {signature.name}")
    if OUTPUT not in signature.outputs:
        raise ServingError("FAILED_PRECONDITION", f"No regression outputs found in SignatureDef: {signature.name}")
    return [OUTPUT]


def checked(outputs: Mapping[str, np.ndarray], examples: int) -> np.ndarray:
    """Return the numbers, float32 of shape [examples].

    Raises:
        ServingError: INVALID_ARGUMENT, the model returned another shape or type.
    """
    array = outputs[OUTPUT]
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        shape = ",".join(map(str, array.shape))
        raise invalid(f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [{shape}]")
    if len(array) != examples:
        raise invalid(f"Input batch size did not match output batch size: {examples} vs. {len(array)}")
    if array.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {array.dtype.name}")
    return array.reshape(-1)


def fill(result: Any, outputs: Mapping[str, np.ndarray], examples: int) -> None:
    """Fill a RegressionResult. Raises ServingError as :func:`checked`."""
    for value in checked(outputs, examples):
        result.regressions.add(value=value)


def as_json(outputs: Mapping[str, np.ndarray], examples: int) -> list[Any]:
    """Return the numbers, ready for JSON. Raises ServingError."""
    return list(checked(outputs, examples))

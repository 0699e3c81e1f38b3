"""Classify examples: examples in, labels with scores out.

Checks and messages are those of tensorflow/serving (servables/tensorflow/classifier.cc). A signature has
one input, ``inputs``, and ``classes`` (strings), ``scores`` (floats) or both, each [examples, classes].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from serving.tf_serving.base.errors import ServingError, invalid
from serving.tf_serving.runtime.servable import Signature

METHOD = "tensorflow/serving/classify"
INPUT, CLASSES, SCORES = "inputs", "classes", "scores"


def wanted(signature: Signature, check_method: bool) -> list[str]:
    """Choose the outputs of a signature that a classification needs.

    Raises:
        ServingError: the signature is not for classification; its method is checked only if ``check_method``.
    """
    if check_method and signature.method != METHOD:
        raise invalid(f"Expected classification signature method_name to be {METHOD}. Was: {signature.method}")
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if INPUT not in signature.inputs:
        raise ServingError("FAILED_PRECONDITION", "No classification inputs found in SignatureDef: " + signature.name)
    found = [alias for alias in (CLASSES, SCORES) if alias in signature.outputs]
    if not found:
        raise ServingError(
            "FAILED_PRECONDITION",
            f'Expected classification signature outputs to contain at least one of "{CLASSES}" or "{SCORES}". '
            f"Signature was: {signature.name}",
        )
    return found


def checked(outputs: Mapping[str, np.ndarray], examples: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return classes and scores, each [examples, classes] or None.

    Raises:
        ServingError: INVALID_ARGUMENT, the model returned another shape or type.
    """
    classes, scores = outputs.get(CLASSES), outputs.get(SCORES)
    for name, array, is_type, type_name in (
        (CLASSES, classes, lambda array: array.dtype == object, "DT_STRING"),
        (SCORES, scores, lambda array: array.dtype == np.float32, "DT_FLOAT"),
    ):
        if array is None:
            continue
        if array.ndim != 2:
            shape = ",".join(map(str, array.shape))
            raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got [{shape}]")
        if not is_type(array):
            raise invalid(f"Expected {name} Tensor of {type_name}. Got: {array.dtype.name}")
        if len(array) != examples:
            raise invalid(f"Expected {name} output batch size of {examples}. Got: {len(array)}")
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    return classes, scores


def fill(result: Any, outputs: Mapping[str, np.ndarray], examples: int) -> None:
    """Fill a ClassificationResult. Raises ServingError as :func:`checked`."""
    for pairs in _rows(*checked(outputs, examples)):
        row = result.classifications.add()
        for label, score in pairs:
            row.classes.add(label=label.decode("utf-8", "replace"), score=score)


def as_json(outputs: Mapping[str, np.ndarray], examples: int) -> list[list[list[Any]]]:
    """Return the [label, score] lists of each example, ready for JSON. Raises ServingError."""
    return [
        [[label.decode("utf-8", "surrogateescape"), score] for label, score in pairs]
        for pairs in _rows(*checked(outputs, examples))
    ]


def _rows(classes: np.ndarray | None, scores: np.ndarray | None) -> Iterator[list[tuple[bytes, np.float32]]]:
    shape = (classes if classes is not None else scores).shape  # type: ignore[union-attr]  # at least one is not None
    for row in range(shape[0]):
        labels = classes[row] if classes is not None else [b""] * shape[1]
        numbers = scores[row] if scores is not None else np.zeros(shape[1], np.float32)
        yield list(zip(labels, numbers, strict=True))

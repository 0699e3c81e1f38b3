"""Handle Classify, Regress and MultiInference requests, from REST and gRPC.

Rules and messages are those of tensorflow/serving (servables/tensorflow/util.cc, multi_inference.cc).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from serving.tf_serving.base import metrics
from serving.tf_serving.base.errors import ServingError, invalid
from serving.tf_serving.calls import classify, examples, regress
from serving.tf_serving.calls.predict import fill_spec, find
from serving.tf_serving.codecs.json_to_tensors import document
from serving.tf_serving.runtime.servable import DEFAULT_SIGNATURE, Servable, Signature
from serving.tf_serving.runtime.threads import run_signature
from serving.tf_serving.versions.manager import Manager

TASKS: dict[str, ModuleType] = {classify.METHOD: classify, regress.METHOD: regress}
"""The module that handles each method name of a signature."""

BY_REST_METHOD = {"classify": classify, "regress": regress}


def infer_json(
    manager: Manager, method: str, model: tuple[str, int | None, str | None], body: bytes, check_method: bool
) -> bytes:
    """Answer the REST calls classify and regress, JSON in and out; ``model`` is name, version and label.

    Raises:
        ServingError: the request is invalid, or the model failed.
    """
    task = BY_REST_METHOD[method]
    if model[2] is not None:
        manager.find(*model)  # a label is looked up before the body is read
    request = document(body)
    given = examples.from_json(request)
    servable = manager.find(*model)
    signature = _signature(servable, request.get("signature_name", ""))
    outputs = _run(servable, method.capitalize(), signature, task.wanted(signature, check_method), given)
    return _results_json(task.as_json(outputs, len(given)))


def infer_proto(servable: Servable, task: ModuleType, request: Any, response: Any, check_method: bool) -> Any:
    """Fill the response to a ClassificationRequest or RegressionRequest, and return it.

    Raises:
        ServingError: the request is invalid, or the model failed.
    """
    signature = _signature(servable, request.model_spec.signature_name)
    wanted = task.wanted(signature, check_method)
    given = examples.from_input(request.input)
    api = "Classify" if task is classify else "Regress"
    task.fill(response.result, _run(servable, api, signature, wanted, given), len(given))
    fill_spec(response.model_spec, servable, signature.name)
    return response


def multi_inference(manager: Manager, request: Any, check_method: bool) -> Any:
    """Answer a MultiInferenceRequest. Raises ServingError."""
    if not request.tasks:
        raise invalid("ModelSpec has no name specified.")
    return multi_inference_on(find(manager, request.tasks[0]), request, check_method)


def multi_inference_on(servable: Servable, request: Any, check_method: bool) -> Any:
    """Answer a MultiInferenceRequest with a given servable. Raises ServingError."""
    from tensorflow_serving.apis import inference_pb2

    chosen = _chosen(servable, request.tasks, check_method)
    given = examples.from_input(request.input)
    response = inference_pb2.MultiInferenceResponse()
    for index, (module, signature, wanted) in enumerate(chosen):
        outputs = _run(servable, "MultiInference", signature, wanted, given, first=index == 0)
        result = response.results.add()
        fill_spec(result.model_spec, servable, signature.name)
        kind = "classification_result" if module is classify else "regression_result"
        getattr(result, kind).SetInParent()
        module.fill(getattr(result, kind), outputs, len(given))
    return response


def _chosen(
    servable: Servable, tasks: Sequence[Any], check_method: bool
) -> list[tuple[ModuleType, Signature, list[str]]]:
    """Check all tasks before the first one runs; return the module, signature and outputs of each."""
    chosen: list[tuple[ModuleType, Signature, list[str]]] = []
    for task in tasks:
        if not task.model_spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if task.model_spec.name != tasks[0].model_spec.name:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if any(name == signature.name for _, signature, _ in chosen):
            raise invalid(f"Duplicate evaluation of signature: {name}")
        signature = servable.signature(name)
        if signature is None:
            raise invalid(f"Requested signature not found in model graph: {name}")
        module = TASKS.get(task.method_name)
        if module is None:
            raise ServingError("UNIMPLEMENTED", f"Unsupported signature method_name: {task.method_name}")
        chosen.append((module, signature, module.wanted(signature, check_method)))
        if signature.inputs[module.INPUT].tensor != chosen[0][1].inputs[module.INPUT].tensor:
            raise invalid("Input tensor must be the same for all Signatures.")
    return chosen


def _signature(servable: Servable, name: str) -> Signature:
    signature = servable.signature(name)
    if signature is None:
        raise invalid(f"No signature was found with the name: {name or DEFAULT_SIGNATURE}")
    return signature


def _run(
    servable: Servable,
    api: str,
    signature: Signature,
    wanted: Sequence[str],
    given: np.ndarray,
    first: bool = True,
) -> Mapping[str, np.ndarray]:
    if first:
        metrics.EXAMPLES.observe(servable.name, value=len(given))
        metrics.EXAMPLES_TOTAL.add(servable.name, by=len(given))
    return run_signature(servable, api, signature, {classify.INPUT: given}, wanted)


def _results_json(results: list[Any]) -> bytes:
    # str() of a float32 is its shortest form; json writes NaN and Infinity, as this API requires.
    text = json.dumps({"results": results}, ensure_ascii=False, default=lambda number: float(str(number)))
    return text.encode("utf-8", "surrogateescape")

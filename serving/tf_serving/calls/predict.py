"""Handle Predict, metadata and status requests, from REST and gRPC.

Messages are those of tensorflow/serving (servables/tensorflow/predict_util.cc, get_model_metadata_impl.cc,
model_servers/get_model_status_impl.cc) and of tensorflow/cc/saved_model/util.cc for inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.tf_serving.base.deadlines import hold
from serving.tf_serving.base.dtypes import dtype_name
from serving.tf_serving.base.errors import CODES, ServingError, invalid
from serving.tf_serving.codecs.predict_request import PredictRequest
from serving.tf_serving.codecs.tensors_to_json import predict_body
from serving.tf_serving.runtime.servable import DEFAULT_SIGNATURE, Servable, Signature
from serving.tf_serving.runtime.threads import run_signature
from serving.tf_serving.versions.manager import Manager
from serving.tf_serving.versions.states import VersionState
from serving.wire.tensor_proto import TensorParsingError, from_array, to_array

SIGNATURE_DEF = "signature_def"


def find(manager: Manager, request: Any) -> Servable:
    """Find the servable that a request's ``model_spec`` names.

    Raises:
        ServingError: INVALID_ARGUMENT, model_spec or its name is missing; NOT_FOUND.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    choice = spec.WhichOneof("version_choice")
    return manager.find(
        spec.name,
        spec.version.value if choice == "version" else None,
        spec.version_label if choice == "version_label" else None,
    )


def predict_json(manager: Manager, name: str, version: int | None, label: str | None, body: bytes) -> bytes:
    """Answer the REST predict call, JSON in and out. Raises ServingError."""
    if label is not None:
        manager.find(name, version, label)  # a label is looked up before the body is read
    request = PredictRequest(body)
    servable = manager.find(name, version, label)
    signature_name = request.signature_name or DEFAULT_SIGNATURE
    signature = servable.signature(signature_name)
    if signature is None:
        raise invalid(f'Serving signature name: "{signature_name}" not found in signature def')
    arrays, rows = request.inputs(signature.inputs)
    return predict_body(run_signature(servable, "Predict", signature, arrays, list(signature.outputs)), rows)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A checked PredictRequest."""

    servable: Servable
    signature: Signature
    arrays: Mapping[str, np.ndarray]
    wanted: Sequence[str]


def read_predict(servable: Servable, request: Any) -> Prediction:
    """Check a PredictRequest to a servable. Raises ServingError."""
    signature = servable.signature(request.model_spec.signature_name)
    if signature is None:
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
    arrays = _proto_inputs(signature, request.inputs)
    return Prediction(servable, signature, arrays, _wanted(signature, request.output_filter))


def run_predict(asked: Prediction) -> Mapping[str, np.ndarray]:
    """Return the requested outputs, by name. Raises ServingError."""
    return run_signature(asked.servable, "Predict", asked.signature, asked.arrays, asked.wanted)


def predict_response(asked: Prediction, outputs: Mapping[str, np.ndarray], as_content: bool) -> Any:
    """Make the PredictResponse with these outputs."""
    from tensorflow_serving.apis import predict_pb2

    response = predict_pb2.PredictResponse()
    fill_spec(response.model_spec, asked.servable, asked.signature.name)
    for alias, array in outputs.items():
        info = asked.signature.outputs[alias]
        from_array(response.outputs[alias], array, info.dtype, info.enum, as_content)
    return response


def metadata(manager: Manager, request: Any) -> Any:
    """Answer a GetModelMetadataRequest with the signatures of a model. Raises ServingError."""
    from tensorflow_serving.apis import get_model_metadata_pb2

    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURE_DEF:
            raise invalid(f"Metadata field {field} is not supported")
    servable = find(manager, request)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    fill_spec(response.model_spec, servable, "")
    response.metadata[SIGNATURE_DEF].CopyFrom(servable.metadata)
    return response


def status(manager: Manager, request: Any) -> Any:
    """Answer a GetModelStatusRequest with the states of a model's versions. Raises ServingError."""
    from tensorflow_serving.apis import get_model_status_pb2

    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    states = manager.states(spec.name, spec.version.value if spec.HasField("version") else None)
    return get_model_status_pb2.GetModelStatusResponse(
        model_version_status=[_status_message(state) for state in states]
    )


def _status_message(state: VersionState) -> Any:
    from tensorflow_serving.apis import get_model_status_pb2

    message = get_model_status_pb2.ModelVersionStatus(version=state.version)
    message.state = get_model_status_pb2.ModelVersionStatus.State.Value(state.state)
    message.status.error_code = CODES.index(state.error.code) if state.error else 0
    message.status.error_message = state.error.message if state.error else ""
    return message


def fill_spec(spec: Any, servable: Servable, signature_name: str) -> None:
    """Fill the ``model_spec`` of an answer with the version that produced it."""
    spec.name = servable.name
    spec.version.value = servable.version
    spec.signature_name = signature_name


def _proto_inputs(signature: Signature, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if len(given) > len(signature.inputs) or (len(given) < len(signature.inputs) and not signature.defaults):
        raise invalid(
            f"input size does not match signature: {len(given)}!={len(signature.inputs)} "
            f"len({_set(given)}) != len({_set(signature.inputs)}). "
            f"Sent extra: {_set(set(given) - set(signature.inputs))}. "
            f"Missing but required: {_set(set(signature.inputs) - set(given))}."
        )
    arrays: dict[str, np.ndarray] = {}
    for alias, info in signature.inputs.items():
        if alias in given:
            proto = given[alias]
            try:
                arrays[alias] = (
                    to_array(proto, info.dtype, info.numpy, hold) if proto.dtype == info.enum else _other_dtype(proto)
                )
            except TensorParsingError as error:
                raise invalid(f"tensor parsing error: {alias}") from error
        elif alias in signature.defaults:
            arrays[alias] = signature.defaults[alias]
        else:
            raise invalid(
                f"Signature input alias: {alias}(feed name: {info.tensor}) not found in request and no default value "
                f"provided. Inputs expected to be in the request {_set(given)}, "
                f"or default input alias set: {','.join(sorted(signature.defaults))}"
            )
    unknown = set(given) - set(arrays)
    if unknown:
        used = ",".join(sorted(set(given) & set(arrays)))
        raise invalid(
            f"Inputs contains invalid name. Used request inputs: {used}, request input: {','.join(sorted(given))}"
        )
    return arrays


def _other_dtype(proto: Any) -> np.ndarray:
    """Read an array whose dtype is not the signature's; it is refused later, when the signature runs."""
    import tensorflow as tf

    try:
        numpy = np.dtype(tf.dtypes.as_dtype(proto.dtype).as_numpy_dtype)
    except (TypeError, KeyError) as error:  # an unknown dtype, or one without values, such as DT_RESOURCE
        raise TensorParsingError(f"dtype {proto.dtype} is not supported") from error
    return to_array(proto, dtype_name(proto.dtype), numpy, hold)


def _wanted(signature: Signature, output_filter: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias}. "
                f"Outputs expected to be in the set {_set(signature.outputs)}."
            )
        if alias in seen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return list(output_filter) or list(signature.outputs)


def _set(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"

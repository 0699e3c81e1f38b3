"""One version of one model, loaded: its signatures, and running them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serving.tf_serving.dtypes import TensorInfo, tensor_infos
from serving.tf_serving.errors import ServingError, from_tensorflow, invalid

DEFAULT_SIGNATURE = "serving_default"
_SERVE = "serve"  # tf.saved_model.SERVING


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that can be run.

    ``function`` is TensorFlow's compiled function; ``order`` its inputs' aliases in its own order, and
    ``captured`` the model's variables, which it takes after them. ``defaults`` are inputs that a request may leave out.
    """

    name: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    defaults: Mapping[str, np.ndarray]
    shapes: Mapping[str, Any]
    order: tuple[str, ...]
    function: Any
    captured: Sequence[Any]

    def run(self, arrays: Mapping[str, np.ndarray], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """The ``wanted`` outputs for an array of each input.

        Raises:
            ServingError: what the model's kernels refuse; INVALID_ARGUMENT if the request is to blame.
        """
        import tensorflow as tf

        for index, (alias, info) in enumerate(self.inputs.items()):
            given = arrays[alias].dtype
            if given != info.numpy:
                raise invalid(f"Expects arg[{index}] to be {info.dtype} but {_dtype_text(given)} is provided")
        try:
            tensors = [tf.constant(arrays[alias], info.enum) for alias, info in self._ordered()]
            results = self.function.call_preflattened([*tensors, *self.captured])
            # asarray: a scalar comes as a NumPy or Python scalar.
            return {alias: np.asarray(results[alias].numpy(), self.outputs[alias].numpy) for alias in wanted}
        except tf.errors.OpError as error:
            raise self._blame(from_tensorflow(error), arrays) from error
        except (ValueError, TypeError) as error:
            raise self._blame(ServingError("INTERNAL", str(error)), arrays) from error

    def _ordered(self) -> list[tuple[str, TensorInfo]]:
        return [(alias, self.inputs[alias]) for alias in self.order]

    def _blame(self, error: ServingError, arrays: Mapping[str, np.ndarray]) -> ServingError:
        # Kernels report a wrong shape under several codes: a shape other than the declared one is the request's fault.
        fits = all(self.shapes[alias].is_compatible_with(arrays[alias].shape) for alias in self.inputs)
        return error if fits else invalid(error.message)


@dataclass(frozen=True, slots=True)
class Servable:
    """One loaded version. ``metadata`` is a packed SignatureDefMap of all its signatures."""

    name: str
    version: int
    signatures: Mapping[str, Signature]
    metadata: Any
    model: Any

    def signature(self, name: str) -> Signature | None:
        """The signature of that name, ``serving_default`` for an empty one; None if there is none."""
        return self.signatures.get(name or DEFAULT_SIGNATURE)


def load(name: str, version: int, folder: Path) -> Servable:
    """A SavedModel from its folder, ready to run.

    Raises:
        ServingError: NOT_FOUND if the folder holds no SavedModel, else what TensorFlow says.
    """
    import tensorflow as tf
    from google.protobuf import any_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2

    definitions = _signature_defs(folder)
    try:
        model = tf.saved_model.load(str(folder), tags=[_SERVE])
    except tf.errors.OpError as error:
        raise from_tensorflow(error) from error
    except Exception as error:  # whatever a model's files make TensorFlow raise is the model's failure
        raise invalid(f"cannot load {folder}: {type(error).__name__}: {error}") from error
    metadata = any_pb2.Any()
    metadata.Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=definitions))
    signatures = {
        key: _signature(key, definitions[key], function)
        for key, function in model.signatures.items()
        if key in definitions
    }
    return Servable(name, version, signatures, metadata, model)


def _signature_defs(folder: Path) -> dict[str, Any]:
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    binary, text = folder / "saved_model.pb", folder / "saved_model.pbtxt"
    try:
        if binary.exists():
            saved_model.ParseFromString(binary.read_bytes())
        elif text.exists():
            text_format.Parse(text.read_text(), saved_model)
        else:
            raise ServingError(
                "NOT_FOUND", f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {folder}"
            )
    except (DecodeError, text_format.ParseError) as error:
        raise ServingError("DATA_LOSS", f"cannot read the SavedModel in {folder}: {error}") from error
    except OSError as error:
        raise ServingError("UNAVAILABLE", f"cannot read {folder}: {error.strerror}") from error
    graphs = [graph for graph in saved_model.meta_graphs if _SERVE in graph.meta_info_def.tags]
    if not graphs:
        raise ServingError("NOT_FOUND", f"Could not find meta graph def matching supplied tags: {{ {_SERVE} }}")
    return dict(graphs[0].signature_def)


def _signature(name: str, definition: Any, function: Any) -> Signature:
    import tensorflow as tf

    from serving.tf_serving.tensor_proto import to_array

    inputs = tensor_infos(definition.inputs)
    # The signature's functions take their inputs by name (ConcreteFunction's keyword arguments), in this order.
    order = tuple(function._arg_keywords)
    defaults = {
        alias: to_array(proto, inputs[alias].dtype, inputs[alias].numpy)
        for alias, proto in definition.defaults.items()
        if alias in inputs
    }
    shapes = {alias: tf.TensorShape(info.tensor_shape) for alias, info in definition.inputs.items()}
    # Calling the inner function saves half the time of calling the signature: no binding of arguments, no type checks.
    return Signature(
        name,
        inputs,
        tensor_infos(definition.outputs),
        defaults,
        shapes,
        order,
        function._inference_function,
        list(function.captured_inputs),
    )


def _dtype_text(dtype: np.dtype[Any]) -> str:
    import tensorflow as tf

    from serving.tf_serving.dtypes import dtype_name

    return dtype_name(tf.dtypes.as_dtype(dtype).as_datatype_enum)

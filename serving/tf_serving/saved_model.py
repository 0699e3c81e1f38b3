"""A SavedModel, run by TensorFlow: its signatures' definitions, and what runs each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serving.tf_serving.dtypes import tensor_infos
from serving.tf_serving.errors import ServingError, from_tensorflow, invalid

SERVE = "serve"  # tf.saved_model.SERVING

Arrays = Mapping[str, np.ndarray]


def definitions(folder: Path) -> dict[str, Any]:
    """The SignatureDefs of a version, by name.

    Raises:
        ServingError: NOT_FOUND if the folder holds no SavedModel, DATA_LOSS if it is none.
    """
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
    graphs = [graph for graph in saved_model.meta_graphs if SERVE in graph.meta_info_def.tags]
    if not graphs:
        raise ServingError("NOT_FOUND", f"Could not find meta graph def matching supplied tags: {{ {SERVE} }}")
    return dict(graphs[0].signature_def)


def load_functions(folder: Path) -> tuple[Any, Mapping[str, Any]]:
    """The loaded model, which must be kept, and TensorFlow's function of each signature. Raises ServingError."""
    import tensorflow as tf

    try:
        model = tf.saved_model.load(str(folder), tags=[SERVE])
    except tf.errors.OpError as error:
        raise from_tensorflow(error) from error
    except Exception as error:  # whatever a model's files make TensorFlow raise is the model's failure
        raise invalid(f"cannot load {folder}: {type(error).__name__}: {error}") from error
    return model, model.signatures


def runner(function: Any, definition: Any) -> Callable[[Arrays, Sequence[str]], dict[str, np.ndarray]]:
    """What runs a signature: arrays by input, and the outputs that are wanted."""
    import tensorflow as tf

    # Calling the inner function saves half the time of calling the signature (138 us instead of 220 for the network
    # of mnist_cnn): no binding of arguments, no type checks. Inputs go in the order of the keyword arguments.
    inner, captured = function._inference_function, list(function.captured_inputs)
    order = [(alias, definition.inputs[alias].dtype) for alias in function._arg_keywords]
    dtypes = {alias: info.numpy for alias, info in tensor_infos(definition.outputs).items()}
    constant, failures = tf.constant, tf.errors.OpError

    def run(arrays: Arrays, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        try:
            results = inner.call_preflattened([*(constant(arrays[alias], enum) for alias, enum in order), *captured])
            # asarray: a scalar comes as a NumPy or Python scalar.
            return {alias: np.asarray(results[alias].numpy(), dtypes[alias]) for alias in wanted}
        except failures as error:
            raise from_tensorflow(error) from error
        except (ValueError, TypeError) as error:
            raise ServingError("INTERNAL", str(error)) from error

    return run

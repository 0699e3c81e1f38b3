"""Load a SavedModel with TensorFlow, read its signatures and run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from serving.tf_serving.base.dtypes import Arrays, tensor_infos
from serving.tf_serving.base.errors import ServingError, from_tensorflow, invalid

SERVE = "serve"  # tf.saved_model.SERVING
NOT_TO_BE_RUN = frozenset({"__saved_model_init_op", "__saved_model_train_op"})
"""Definitions that are not signatures (tensorflow/python/saved_model/constants.py)."""
MOST_CALLABLES = 64
"""Number of prepared callables kept per signature, one per set of requested outputs."""


@dataclass(frozen=True, slots=True)
class Parallelism:
    """Numbers of threads: ``intra_op`` within one operation, ``inter_op`` for operations at the same time.

    0 means one per core; a negative ``inter_op`` runs a request's operations in the request's own thread.
    """

    intra_op: int = 1
    inter_op: int = -1


ONE_THREAD = Parallelism()
"""Run each request in its own thread only, because requests run in parallel."""


def definitions(folder: Path) -> dict[str, Any]:
    """Read the SignatureDefs of a version, by name.

    Raises:
        ServingError: NOT_FOUND if the folder has no SavedModel, DATA_LOSS if its file is invalid.
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


def load_session(folder: Path, parallelism: Parallelism) -> Any:
    """Load the graph of a version into a session, restore its variables and fill its tables.

    Graphs run in sessions, as in tensorflow/serving. A session is also the fastest way to call a graph from Python:
    80 us for the network of mnist_cnn. A function from ``tf.saved_model.load`` takes 170 us and wakes another thread.

    Raises:
        ServingError: TensorFlow's error.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    config = v1.ConfigProto(
        intra_op_parallelism_threads=parallelism.intra_op,
        inter_op_parallelism_threads=parallelism.inter_op,
        allow_soft_placement=True,
    )
    session = v1.Session(graph=tf.Graph(), config=config)
    try:
        with session.graph.as_default():
            v1.saved_model.load(session, [SERVE], str(folder))
    except tf.errors.OpError as error:
        session.close()
        raise from_tensorflow(error) from error
    except Exception as error:  # any exception that a model's files cause is the model's failure
        session.close()
        raise invalid(f"cannot load {folder}: {type(error).__name__}: {error}") from error
    return session


def runner(session: Any, definition: Any) -> Callable[[Arrays, Sequence[str]], dict[str, np.ndarray]]:
    """Make the function that runs a signature: it takes arrays by input and the wanted outputs."""
    import tensorflow as tf
    from tensorflow.core.protobuf import config_pb2

    feeds = [(alias, definition.inputs[alias].name) for alias in sorted(definition.inputs)]
    tensors = {alias: info.name for alias, info in definition.outputs.items()}
    dtypes = {alias: info.numpy for alias, info in tensor_infos(definition.outputs).items()}
    failures = tf.errors.OpError

    @lru_cache(MOST_CALLABLES)
    def callable_for(wanted: tuple[str, ...]) -> tuple[Any, list[int]]:
        names = list(dict.fromkeys(tensors[alias] for alias in wanted))  # two outputs may be one tensor
        options = config_pb2.CallableOptions(feed=[name for _, name in feeds], fetch=names)
        return session._make_callable_from_options(options), [names.index(tensors[alias]) for alias in wanted]

    def run(arrays: Arrays, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        if not wanted:
            return {}  # a session refuses an empty list
        try:
            call, places = callable_for(tuple(wanted))
            results = call(*[arrays[alias] for alias, _ in feeds])
            # asarray: the session returns a scalar as a NumPy or Python scalar.
            return {
                alias: np.asarray(results[place], dtypes[alias]) for alias, place in zip(wanted, places, strict=True)
            }
        except failures as error:
            raise from_tensorflow(error) from error
        except (ValueError, TypeError) as error:
            raise ServingError("INTERNAL", str(error)) from error

    return run

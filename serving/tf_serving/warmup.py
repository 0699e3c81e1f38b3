"""Requests recorded with a model, run before a version becomes available.

The file is a TFRecord of PredictionLog messages; rules and limit are those of tensorflow/serving
(servables/tensorflow/saved_model_warmup_util.cc).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from serving.tf_serving.errors import ServingError, from_tensorflow, invalid

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000


def run_warmup(folder: Path, predict: Callable[[Any], Any]) -> int:
    """Runs the recorded requests of a version; returns how many there were.

    ``predict`` takes a PredictRequest.

    Raises:
        ServingError: a record that cannot be read or is not supported, too many of them, or a request that failed.
    """
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    count = 0
    for record in _records(folder / WARMUP_FILE):
        count += 1
        if count > MAX_RECORDS:
            raise invalid(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {folder / WARMUP_FILE}")
        log = prediction_log_pb2.PredictionLog()
        try:
            log.ParseFromString(record)
        except DecodeError as error:
            raise invalid(f"Failed to parse warmup record: {count} of {folder / WARMUP_FILE}") from error
        kind = log.WhichOneof("log_type")
        if kind is None:
            raise invalid(f"Failed to parse warmup record: {count} of {folder / WARMUP_FILE} holds no request")
        if kind != "predict_log":
            raise ServingError("UNIMPLEMENTED", f"Unsupported log_type for warmup: {kind}")
        predict(log.predict_log.request)
    return count


def _records(file: Path) -> Iterator[bytes]:
    import tensorflow as tf

    if not file.exists():
        return
    try:
        yield from tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise from_tensorflow(error) from error

"""Run the requests recorded with a model before a version becomes available.

The file is a TFRecord of PredictionLog messages; rules and limit are those of tensorflow/serving
(servables/tensorflow/saved_model_warmup.cc and saved_model_warmup_util.cc).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from serving.tf_serving.base import metrics
from serving.tf_serving.base.errors import ServingError, from_tensorflow, invalid
from serving.tf_serving.calls import classify, regress
from serving.tf_serving.calls.inference import infer_proto, multi_inference_on
from serving.tf_serving.calls.predict import read_predict, run_predict
from serving.tf_serving.runtime.servable import Servable

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000


def warm_up(servable: Servable, folder: Path, iterations: int = 1, check_method: bool = False) -> int:
    """Run each recorded request of a version ``iterations`` times; return the number of recorded requests.

    Raises:
        ServingError: a record cannot be read or is not supported, there are too many, or a request failed.
    """
    if not (folder / WARMUP_FILE).exists():
        return 0
    start, status = time.perf_counter(), "OK"
    try:
        return run_records(folder, lambda log: run_log(servable, log, check_method), iterations)
    except ServingError as error:
        status = str(error)
        raise
    finally:
        metrics.WARMUP_LATENCY.observe(str(folder), status, value=(time.perf_counter() - start) * 1e6)


def run_records(folder: Path, run: Callable[[Any], None], iterations: int = 1) -> int:
    """Call ``run`` with each PredictionLog of a version; return their number. Raises ServingError."""
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    count = 0
    for record in _records(folder / WARMUP_FILE):
        log = prediction_log_pb2.PredictionLog()
        try:
            log.ParseFromString(record)
        except DecodeError as error:
            raise invalid(f"Failed to parse warmup record: {count + 1} from {folder / WARMUP_FILE}") from error
        for _ in range(iterations):
            run(log)
        count += 1
        if count > MAX_RECORDS:
            raise invalid(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {folder / WARMUP_FILE}")
    return count


def run_log(servable: Servable, log: Any, check_method: bool) -> None:
    """Run the request of one PredictionLog; does nothing if it has no request. Raises ServingError."""
    from tensorflow_serving.apis import classification_pb2, regression_pb2

    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        run_predict(read_predict(servable, log.predict_log.request))
    elif kind == "classify_log":
        response = classification_pb2.ClassificationResponse()
        infer_proto(servable, classify, log.classify_log.request, response, check_method)
    elif kind == "regress_log":
        response = regression_pb2.RegressionResponse()
        infer_proto(servable, regress, log.regress_log.request, response, check_method)
    elif kind == "multi_inference_log":
        multi_inference_on(servable, log.multi_inference_log.request, check_method)
    elif kind is not None:
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError("UNIMPLEMENTED", f"Unsupported log_type for warmup: {number}")


def _records(file: Path) -> Iterator[bytes]:
    import tensorflow as tf

    try:
        yield from tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    except tf.errors.DataLossError as error:
        known = from_tensorflow(error)
        message = f"{known.message}. Please verify your warmup data is in TFRecord format."
        raise ServingError(known.code, message) from error
    except tf.errors.OpError as error:
        raise from_tensorflow(error) from error

"""The gRPC method Predict, by the shortest way there is for each request.

A thread's wake-up costs as much as a small network's call. So a request that is batched waits in no thread, and
one whose answer takes less than a wake-up is worth is worked on where it was read.
"""

from __future__ import annotations

import time
from functools import partial

from serving.http2.grpc_server import Call
from serving.tf_serving import deadlines
from serving.tf_serving.batching import Batcher, Waiting
from serving.tf_serving.errors import ServingError
from serving.tf_serving.grpc_calls import Count, as_status, fail, parsed
from serving.tf_serving.handlers import Prediction, find, predict_response, read_predict, run_predict
from serving.tf_serving.manager import Manager
from serving.tf_serving.runtime import note_runtime
from serving.tf_serving.workers import Outbox, Workers

QUICK_S = 0.001
"""Until when a run counts as one that holds nobody up who reads from the same event loop."""
MOST_READ_HERE = 2**17
"""Bytes of a request that the event loop's thread reads; parsing more would hold others up."""


class Predict:
    """The method, for :mod:`serving.http2`. It is called by the event loop's thread."""

    def __init__(self, manager: Manager, as_content: bool, workers: Workers, outbox: Outbox) -> None:
        from tensorflow_serving.apis import predict_pb2

        self._request_class = predict_pb2.PredictRequest
        self._manager = manager
        self._as_content = as_content
        self._workers = workers
        self._outbox = outbox

    def __call__(self, call: Call) -> None:
        if len(call.body) > MOST_READ_HERE:
            self._workers.do(partial(self._read, call, False))
        else:
            self._read(call, True)

    def _read(self, call: Call, here: bool) -> None:
        """Reads the request and has it run; ``here`` is the event loop's thread, else it is a worker's."""
        count = None
        try:
            request = parsed(self._request_class, call.body)
            count = Count("Predict", request.model_spec.name)
            asked = read_predict(find(self._manager, request), request)
            if asked.signature.batcher is not None:
                self._enqueue(call, asked, asked.signature.batcher, count)
            elif here and (self._workers.busy or asked.signature.pace.expected(len(call.body)) > QUICK_S):
                self._workers.do(partial(self._run, call, asked, count, False))
            else:
                self._run(call, asked, count, here)
        except Exception as error:  # noqa: BLE001 - as_status logs what is no ServingError
            self._fail(call, count, error, here)

    def _run(self, call: Call, asked: Prediction, count: Count, here: bool) -> None:
        try:
            if call.is_over:
                raise ServingError("CANCELLED", "the client has gone")
            deadlines.begin(call.deadline)
            start = time.perf_counter()
            outputs = run_predict(asked)
            asked.signature.pace.note(len(call.body), time.perf_counter() - start)
            body = predict_response(asked, outputs, self._as_content).SerializeToString()
        except Exception as error:  # noqa: BLE001 - as_status logs what is no ServingError
            self._fail(call, count, error, here)
            return
        count.end("OK")
        if here:
            call.answer(body)
        else:
            self._outbox.post(partial(call.answer, body))

    def _enqueue(self, call: Call, asked: Prediction, batcher: Batcher, count: Count) -> None:
        start = time.perf_counter()

        def has_run(waiting: Waiting) -> None:
            self._outbox.post(partial(self._answer, call, asked, count, waiting, start))

        asked.signature.check_dtypes(asked.arrays)
        batcher.submit(asked.arrays, asked.wanted, call.deadline, has_run)

    def _answer(self, call: Call, asked: Prediction, count: Count, waiting: Waiting, start: float) -> None:
        try:
            outputs = waiting.outputs()
            note_runtime(asked.servable, "Predict", time.perf_counter() - start)
            body = predict_response(asked, outputs, self._as_content).SerializeToString()
        except Exception as error:  # noqa: BLE001 - as_status logs what is no ServingError
            self._fail(call, count, error, True)
        else:
            count.end("OK")
            call.answer(body)

    def _fail(self, call: Call, count: Count | None, error: Exception, here: bool) -> None:
        status = as_status(error)
        if count is not None:
            count.end(status.code)
        if here:
            fail(call, status)
        else:
            self._outbox.post(partial(fail, call, status))

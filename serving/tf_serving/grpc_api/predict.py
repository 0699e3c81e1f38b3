"""Serve the gRPC method Predict, with as few thread switches per request as possible.

Waking a thread costs as much as running a small network, and threads compete for Python's interpreter lock.
So a batched request does not occupy a thread while it waits. A quick request that arrives alone runs in the event
loop's thread; other quick requests run on one thread per core (16 clients of mnist_cnn's network: 12,000
requests/s, against 8,300 with eight threads and 7,300 with one). Only slow requests use the threads of
``--grpc_max_threads``.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial

from serving.http2.grpc_server import GrpcCall
from serving.tf_serving.base import deadlines
from serving.tf_serving.base.workers import Outbox, Workers
from serving.tf_serving.calls.predict import Prediction, find, predict_response, read_predict, run_predict
from serving.tf_serving.grpc_api.reply import Count, as_status, check_is_wanted, fail, parsed
from serving.tf_serving.runtime.batching import Batcher, Waiting
from serving.tf_serving.runtime.threads import note_runtime
from serving.tf_serving.versions.manager import Manager

QUICK_S = 0.001
"""Longest time of a quick run in seconds: it does not delay others in the event loop or in a queue."""
MOST_READ_HERE = 2**17
"""Largest request in bytes that the event loop's thread parses; a larger one would delay others."""


class Predict:
    """The method Predict for :mod:`serving.http2`. The event loop's thread calls it."""

    def __init__(self, manager: Manager, as_content: bool, workers: Workers, outbox: Outbox) -> None:
        """Prepare the method; ``workers`` are the threads for slow requests."""
        from tensorflow_serving.apis import predict_pb2

        self._request_class = predict_pb2.PredictRequest
        self._manager = manager
        self._as_content = as_content
        self._workers = workers
        self._quick_workers = Workers(os.cpu_count() or 1, "grpc-quick")
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._arrived: list[GrpcCall] = []

    def __call__(self, call: GrpcCall) -> None:
        if not self._arrived:
            self._loop.call_soon(self._take)  # after reading all calls that arrived with this one
        self._arrived.append(call)

    def _take(self) -> None:
        arrived, self._arrived = self._arrived, []
        is_alone = len(arrived) == 1 and not self._quick_workers.busy
        for call in arrived:
            if len(call.body) > MOST_READ_HERE:
                self._workers.do(partial(self._read, call, False, False))
            else:
                self._read(call, True, is_alone)

    def _read(self, call: GrpcCall, here: bool, is_alone: bool) -> None:
        """Read the request and run it; ``here`` is True in the event loop's thread, False in a worker's."""
        count = None
        try:
            if not here:
                check_is_wanted(call)  # it has waited for a thread
            deadlines.begin(call.deadline, lambda: call.is_over, call.share)
            request = parsed(self._request_class, call.body)
            count = Count("Predict", request.model_spec.name)
            asked = read_predict(find(self._manager, request), request)
            if asked.signature.batcher is not None:
                self._enqueue(call, asked, asked.signature.batcher, count)
            elif not here:
                self._run(call, asked, count, here)
            elif asked.signature.pace.expected(len(call.body)) > QUICK_S:
                self._workers.do(partial(self._run, call, asked, count, False))
            elif is_alone:
                self._run(call, asked, count, here)
            else:
                self._quick_workers.do(partial(self._run, call, asked, count, False))
        except Exception as error:  # noqa: BLE001 - as_status logs all errors but ServingError
            self._fail(call, count, error, here)

    def _run(self, call: GrpcCall, asked: Prediction, count: Count, here: bool) -> None:
        try:
            check_is_wanted(call)
            deadlines.begin(call.deadline, lambda: call.is_over, call.share)
            pace = asked.signature.pace
            start = pace.clock()
            outputs = run_predict(asked)
            pace.note(len(call.body), pace.clock() - start)
            body = predict_response(asked, outputs, self._as_content).SerializeToString()
        except Exception as error:  # noqa: BLE001 - as_status logs all errors but ServingError
            self._fail(call, count, error, here)
            return
        count.end("OK")
        if here:
            call.answer(body)
        else:
            self._outbox.post(partial(call.answer, body))

    def _enqueue(self, call: GrpcCall, asked: Prediction, batcher: Batcher, count: Count) -> None:
        start = time.perf_counter()

        def has_run(waiting: Waiting) -> None:
            self._outbox.post(partial(self._answer, call, asked, count, waiting, start))

        asked.signature.check_dtypes(asked.arrays)
        batcher.submit(asked.arrays, asked.wanted, call.deadline, has_run)

    def _answer(self, call: GrpcCall, asked: Prediction, count: Count, waiting: Waiting, start: float) -> None:
        try:
            outputs = waiting.outputs()
            note_runtime(asked.servable, "Predict", time.perf_counter() - start)
            body = predict_response(asked, outputs, self._as_content).SerializeToString()
        except Exception as error:  # noqa: BLE001 - as_status logs all errors but ServingError
            self._fail(call, count, error, True)
        else:
            count.end("OK")
            call.answer(body)

    def _fail(self, call: GrpcCall, count: Count | None, error: Exception, here: bool) -> None:
        status = as_status(error)
        if count is not None:
            count.end(status.code)
        if here:
            fail(call, status)
        else:
            self._outbox.post(partial(fail, call, status))

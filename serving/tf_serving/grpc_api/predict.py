"""The gRPC method Predict, by the shortest way there is for each request.

To wake a thread costs as much as a small network's call, and threads that all want the interpreter get in each
other's way. So a request that is batched waits in no thread; a quick one is worked on where it was read if it came
alone, else by as many threads as there are cores (16 clients of mnist_cnn's network: 12,000 requests/s, 8,300 by
eight threads, 7,300 by one); and only those that take their time share the threads of ``--grpc_max_threads``.
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
"""Until when a run counts as quick: it holds nobody up, in the event loop or in a queue."""
MOST_READ_HERE = 2**17
"""Bytes of a request that the event loop's thread reads; parsing more would hold others up."""


class Predict:
    """The method, for :mod:`serving.http2`. It is called by the event loop's thread."""

    def __init__(self, manager: Manager, as_content: bool, workers: Workers, outbox: Outbox) -> None:
        """``workers`` are for requests that may take their time."""
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
            self._loop.call_soon(self._take)  # when all is read that has arrived with this one
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
        """Reads the request and has it run; ``here`` is the event loop's thread, else it is a worker's."""
        count = None
        try:
            if not here:
                check_is_wanted(call)  # it has waited for a thread
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
        except Exception as error:  # noqa: BLE001 - as_status logs what is no ServingError
            self._fail(call, count, error, here)

    def _run(self, call: GrpcCall, asked: Prediction, count: Count, here: bool) -> None:
        try:
            check_is_wanted(call)
            deadlines.begin(call.deadline)
            pace = asked.signature.pace
            start = pace.clock()
            outputs = run_predict(asked)
            pace.note(len(call.body), pace.clock() - start)
            body = predict_response(asked, outputs, self._as_content).SerializeToString()
        except Exception as error:  # noqa: BLE001 - as_status logs what is no ServingError
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
        except Exception as error:  # noqa: BLE001 - as_status logs what is no ServingError
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

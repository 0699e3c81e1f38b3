"""Requests run together: section I of the API's reference over real sockets, and the queue's rules alone."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from serving.launch import free_port
from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.runtime.batching import Batcher
from serving.tf_serving.runtime.queue import BatchTask, Queue, Scheduler
from serving.tf_serving.settings.batching import BatchingParameters, batching_parameters

PADDED = """max_batch_size { value: 4 } batch_timeout_micros { value: 400000 } max_enqueued_batches { value: 2 }
num_batch_threads { value: 1 } allowed_batch_sizes: 2 allowed_batch_sizes: 4"""
SPLIT = """max_batch_size { value: 8 } batch_timeout_micros { value: 200000 } num_batch_threads { value: 1 }
pad_variable_length_inputs: true enable_large_batch_splitting { value: true } max_execution_batch_size { value: 4 }"""
SLOW_S = 1.5
TIMEOUT_S = 0.8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers contain the number of rows of their batch."""
    import tensorflow as tf

    def spec(*shape: int | None) -> tf.TensorSpec:
        return tf.TensorSpec(shape, tf.float32, name="x")

    class Model(tf.Module):
        @tf.function(input_signature=[spec(None, None)])
        def plus_two(self, x):
            rows = tf.shape(x)[0]
            return {"y": 0.5 * x + 2.0, "rows": tf.repeat(rows, rows), "width": tf.repeat(tf.shape(x)[1], rows)}

        @tf.function(input_signature=[spec(None, None)])
        def scalar(self, x):
            return {"y": tf.reduce_sum(x)}

        @tf.function(input_signature=[spec(None, None)])
        def short(self, x):
            return {"y": x[:1]}

        @tf.function(input_signature=[spec(None)])
        def slow(self, x):
            start = tf.timestamp()
            (y,) = tf.while_loop(lambda _: tf.timestamp() - start < SLOW_S, lambda y: (tf.identity(y),), [x])
            return {"y": y}

        @tf.function(input_signature=[])
        def nothing(self):
            return {"y": tf.zeros([1])}

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x")])
        def number(self, x):
            return {"y": x}

    root = tmp_path_factory.mktemp("batching")
    model = Model()
    names = ("scalar", "short", "slow", "nothing", "number")
    signatures = {name: getattr(model, name) for name in names} | {"serving_default": model.plus_two}
    tf.saved_model.save(model, str(root / "b" / "1"), signatures=signatures)
    (root / "padded").write_text(PADDED)
    (root / "split").write_text(SPLIT)
    (root / "monitoring").write_text("prometheus_config { enable: true }")
    return root


@pytest.fixture(scope="module")
def start(folder: Path, run_server) -> Callable:
    def start(workdir: Path, parameters: str, *flags: str):
        return run_server(
            workdir,
            folder,
            "b",
            *(f"--model_base_path={folder}/b", "--model_name=b", "--enable_batching"),
            *(f"--batching_parameters_file={folder}/{parameters}", f"--monitoring_config_file={folder}/monitoring"),
            *flags,
        )

    return start


@pytest.fixture(scope="module")
def padded(start, tmp_path_factory) -> Iterator:
    with start(tmp_path_factory.mktemp("padded"), "padded") as running:
        yield running


@pytest.fixture(scope="module")
def split(start, tmp_path_factory) -> Iterator:
    with start(
        tmp_path_factory.mktemp("split"), "split", f"--rest_api_timeout_in_ms={int(TIMEOUT_S * 1000)}"
    ) as running:
        yield running


def body(x: list, signature: str = "") -> str:
    return json.dumps({"inputs": x, **({"signature_name": signature} if signature else {})})


def together(server, *bodies: str) -> list[tuple[int, dict]]:
    """Send requests at the same time, and return the answers."""
    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda sent: server.json("/v1/models/b:predict", sent), bodies))


def metric(server, name: str, labels: str = "") -> float:
    page = server.ask("/monitoring/prometheus/metrics")[1].decode()
    found = re.search(rf"^:tensorflow:serving:batching_session:{name}{{{labels}}} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("case", ["I1"])
def test_concurrent_requests_run_as_one(padded, case):
    answers = together(padded, body([[1.0], [2.0]]), body([[3.0], [4.0]]))
    assert [status for status, _ in answers] == [200, 200]
    assert [answer["outputs"]["y"] for _, answer in answers] == [[[2.5], [3.0]], [[3.5], [4.0]]]
    assert {rows for _, answer in answers for rows in answer["outputs"]["rows"]} == {4}


@pytest.mark.parametrize("case", ["I2"])
def test_padding_is_computed_and_never_returned(padded, case):
    names = ("input_batch_size_sum", "processed_batch_size_sum", "processed_batch_size_count")
    before = [metric(padded, name) for name in names] + [metric(padded, "padding_size_sum", 'execution_batch_size="4"')]
    assert together(padded, body([[1.0], [2.0], [3.0]])) == [
        (200, {"outputs": {"rows": [4, 4, 4], "width": [1, 1, 1], "y": [[2.5], [3.0], [3.5]]}})
    ]
    after = [metric(padded, name) for name in names] + [metric(padded, "padding_size_sum", 'execution_batch_size="4"')]
    assert np.subtract(after, before).tolist() == [3, 4, 1, 1]
    assert together(padded, body([[1.0]]))[0][1]["outputs"]["rows"] == [2]


@pytest.mark.parametrize("case", ["I5"])
def test_other_shapes_fail_both_without_padding(padded, case):
    for status, answer in together(padded, body([[1.0]]), body([[1.0, 2.0]])):
        assert status == 400
        assert (
            "Tensors with name 'serving_default_x:0' from different tasks have different shapes and padding is "
            in (answer["error"])
        )
        assert "turned off. Set pad_variable_length_inputs to true" in answer["error"]


def test_both_faces_meet_in_one_batch_and_grpc_names_the_code(padded):
    with padded.channel() as channel, ThreadPoolExecutor(1) as pool:
        rest = pool.submit(together, padded, body([[1.0]]))
        code = refused(channel, np.float32([[1.0, 2.0]]))
        assert rest.result()[0][0] == 400
    assert code == grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("case", ["I6"])
def test_a_full_queue_refuses(padded, until, case):
    """One batch computes, two wait, the next one is refused at once; all the others are answered."""
    four = body([1.0, 2.0, 3.0, 4.0], "slow")
    answers: list[Future] = []
    with ThreadPoolExecutor(3) as pool:
        for waiting in range(3):
            taken = metric(padded, "input_batch_size_count")
            runs = metric(padded, "processed_batch_size_count")
            answers.append(pool.submit(together, padded, four))
            until(lambda taken=taken: metric(padded, "input_batch_size_count") == taken + 1)
            if waiting == 0:
                until(lambda runs=runs: metric(padded, "processed_batch_size_count") == runs + 1)
        ((status, answer),) = together(padded, four)
        assert status == 503
        assert not any(future.done() for future in answers[1:])  # it was refused while they wait
        assert "The batch scheduling queue to which this task was submitted is full" in answer["error"]
        assert {future.result()[0][0] for future in answers} == {200}


@pytest.mark.parametrize("case", ["I7"])
def test_a_deadline_that_passes_in_the_queue(split, until, case):
    runs = metric(split, "processed_batch_size_count")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(together, split, body([1.0, 2.0, 3.0, 4.0], "slow"))
        until(lambda: metric(split, "processed_batch_size_count") == runs + 1)
        ((status, answer),) = together(split, body([[5.0]]))
        assert (status, answer["error"]) == (429, "Run() timeout exceeded while waiting in batching queue")
        assert first.result()[0][0] == 504
    until(lambda: together(split, body([[5.0]]))[0][0] == 200)  # and the next ones are answered


@pytest.mark.parametrize("case", ["I8"])
@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("scalar", "Batched output tensor has 0 dimensions"),
        ("short", "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes"),
    ],
)
def test_outputs_without_rows(padded, case, signature, message):
    ((status, answer),) = together(padded, body([[1.0], [2.0]], signature))
    assert status == 400
    assert message in answer["error"]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"inputs": 1.0, "signature_name": "number"}, "must have at least one dimension"),
        ({"inputs": [[1.0]] * 5}, "Task size 5 is larger than maximum input batch size 4"),
    ],
)
def test_what_cannot_be_batched(padded, sent, message):
    ((status, answer),) = together(padded, json.dumps(sent))
    assert status == 400
    assert message in answer["error"]


def test_a_signature_without_inputs_cannot_be_batched(padded):
    with padded.channel() as channel:
        assert refused(channel, None, "nothing") == grpc.StatusCode.INVALID_ARGUMENT


def test_requests_of_different_lengths_are_padded_where_that_is_asked_for(split):
    answers = together(split, body([[1.0], [2.0]]), body([[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]))
    assert [answer["outputs"]["rows"] for _, answer in answers] == [[4, 4], [4, 4]]
    # As in TensorFlow Serving, the answer contains the padding of a dimension: copies of the request's first value.
    assert answers[0][1]["outputs"]["y"] == [[2.5, 2.5, 2.5], [3.0, 2.5, 2.5]]
    assert answers[1][1]["outputs"]["y"] == [[3.5, 4.0, 4.5], [5.0, 5.5, 6.0]]


def test_a_large_request_is_split_where_that_is_asked_for(split):
    ((status, answer),) = together(split, body([[float(row)] for row in range(8)]))
    assert status == 200
    assert answer["outputs"]["rows"] == [4] * 8
    assert answer["outputs"]["y"] == [[0.5 * row + 2] for row in range(8)]
    ((status, answer),) = together(split, body([[1.0]] * 9))
    assert (status, answer["error"]) == (400, "Task size 9 is larger than maximum input batch size 8")


def test_many_clients_get_their_own_answers(split):
    def ask(number: int) -> bool:
        rows = number % 3 + 1
        _, answer = split.json("/v1/models/b:predict", body([[float(number)]] * rows))
        return [y[:1] for y in answer["outputs"]["y"]] == [[0.5 * number + 2]] * rows

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(60)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: 2",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 2; expected 4",
        ),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: 4 allowed_batch_sizes: 4",
            "must be monotonically increasing",
        ),
        ("allowed_batch_sizes: 4", "expected 1000"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        ("max_batch_size: 4", "Error parsing text-format tensorflow.serving.BatchingParameters"),
    ],
)
def test_parameters_that_do_not_go_together(tmp_path, text, message):
    (tmp_path / "file").write_text(text)
    with pytest.raises(ServingError) as caught:
        batching_parameters(True, str(tmp_path / "file"))
    assert message in caught.value.message


def test_a_bad_file_stops_the_start(command, tmp_path):
    (tmp_path / "file").write_text("max_batch_size { value: 4 } allowed_batch_sizes: 2")
    flags = (f"--port={free_port()}", "--model_base_path=/m", "--enable_batching")
    process = command(*flags, f"--batching_parameters_file={tmp_path}/file")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Last entry in allowed_batch_sizes must match max_batch_size" in err


def test_defaults_are_the_scheduler_s(tmp_path):
    assert batching_parameters(False, "") is None
    assert batching_parameters(True, "") == BatchingParameters()
    (tmp_path / "file").write_text("max_batch_size { value: 7 } max_enqueued_batches { value: 0 }")
    found = batching_parameters(True, str(tmp_path / "file"))
    assert (found.max_batch_size, found.max_execution_batch_size, found.max_enqueued_batches) == (7, 7, 1)


def test_a_batch_is_due_when_full_or_followed_or_old():
    queue = Queue(BatchingParameters(max_batch_size=4, max_execution_batch_size=4, batch_timeout_micros=10**6), print)
    assert queue.due() == float("inf")
    first = BatchTask({}, 3, None, print)
    queue.add(first)
    assert queue.due() == first.enqueued + 1.0
    queue.add(BatchTask({}, 2, None, print))  # does not fit
    assert queue.due() == 0.0
    assert queue.take().tasks == [first]
    assert queue.due() > first.enqueued
    queue.add(BatchTask({}, 2, None, print))
    assert queue.due() == 0.0
    assert queue.take().size == 4
    assert queue.is_empty()


def test_queues_take_turns(until):
    """With one thread and two queues that are never empty, neither waits for the other's last batch."""
    scheduler = Scheduler(
        BatchingParameters(max_batch_size=1, max_execution_batch_size=1, num_batch_threads=1, max_enqueued_batches=9)
    )
    order, gate = [], threading.Event()

    def run(name: str) -> Callable:
        def call(arrays, _wanted):
            gate.wait(10)
            order.append(name)
            return {"y": arrays["x"]}

        return call

    batchers = {name: Batcher(scheduler, run(name), {"x": "x"}) for name in "ab"}
    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(batchers[name].run, {"x": np.zeros(1)}, ["y"]) for name in "aaabbb"]
        queues = [batcher._queue(["y"]) for batcher in batchers.values()]
        until(lambda: sum(1 for queue in queues for batch in queue._batches if batch.tasks) == 5)  # and one runs
        gate.set()
        for future in done:
            future.result(10)
    assert "".join(order)[1:] in ("abab" + "b", "baba" + "b", "babab", "ababa")


def refused(channel, x: np.ndarray | None, signature: str = "") -> grpc.StatusCode:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "b", signature
    if x is not None:
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(x))
    with pytest.raises(grpc.RpcError) as caught:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
    return caught.value.code()

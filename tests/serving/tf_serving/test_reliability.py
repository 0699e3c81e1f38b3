"""Reliability under requests: new versions, a signal to end, connections that misbehave."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from serving.launch import LOOPBACK, free_ports
from serving.limits import LINGER_BYTES

SWITCHES = Path(__file__).parents[3] / "benchmarks" / "tf_serving" / "switches.py"
PATH = "/v1/models/half_plus_two:predict"
BODY = b'{"instances":[2.0]}'
METRICS = "/monitoring/prometheus/metrics"
LIMIT_BYTES = 200_000
HELD_BYTES = 500_000


def test_versions_switch_under_load():
    """Versions switch 4 times; SLIPWAY_SWITCHES=50 makes it the long form."""
    count = os.environ.get("SLIPWAY_SWITCHES", "4")
    command = [sys.executable, str(SWITCHES), "--switches", count, "--rate", "200", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["switches"] == int(count)
    assert found["versions_seen"] == int(count) + 1
    assert (found["failed"], found["wrong_version"]) == (0, 0)
    assert found["answers"] > 50 * int(count)


@pytest.fixture(scope="module")
def limited(run_server, half_plus_two: Path, tmp_path_factory) -> Iterator:
    flags = (f"--model_base_path={half_plus_two.parent}", "--model_name=half_plus_two")
    limits = (f"--rest_api_max_request_bytes={LIMIT_BYTES}", "--rest_api_timeout_in_ms=2000")
    bounds = (f"--max_held_request_bytes={HELD_BYTES}",)
    workdir = tmp_path_factory.mktemp("limited")
    with run_server(workdir, half_plus_two.parent, "half_plus_two", *flags, *limits, *bounds) as running:
        yield running


def test_a_signal_under_load_ends_it_without_a_bad_answer(command, half_plus_two: Path, until):
    """Clients keep sending requests: each gets a right answer or no answer at all, and the exit code is 0."""
    rest, grpc_port = free_ports(2)
    base = half_plus_two.parent
    process = command(
        *(f"--port={grpc_port}", f"--rest_api_port={rest}", "--enable_grpc_healthcheck_service"),
        *("--model_name=half_plus_two", f"--model_base_path={base}"),
    )
    outcomes: Counter[object] = Counter()
    until(lambda: ask(rest) == (200, {"predictions": [3.0]}))

    def keep_asking():
        while True:
            try:
                outcomes[str(ask(rest))] += 1
            except ConnectionRefusedError:
                return  # the server accepts no new connections
            except (ConnectionError, http.client.RemoteDisconnected):
                outcomes["reset"] += 1  # the connection had not been accepted yet

    threads = [threading.Thread(target=keep_asking) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: sum(outcomes.values()) > 100)
    with grpc.insecure_channel(f"{LOOPBACK}:{grpc_port}") as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=60)
        assert next(watch) == b"\x08\x01"  # SERVING
        process.send_signal(signal.SIGTERM)
        assert next(watch) == b"\x08\x02"  # NOT_SERVING
        assert watch.code() is grpc.StatusCode.UNAVAILABLE
    for thread in threads:
        thread.join(30)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert set(outcomes) <= {str((200, {"predictions": [3.0]})), "reset"}
    assert outcomes["reset"] <= len(threads)
    assert "Traceback" not in err


def test_connections_that_do_not_end_do_not_keep_it_from_ending(command, half_plus_two: Path, until):
    """An idle connection, an endless head and an endless body: a container must stop within ten seconds."""
    (rest,) = free_ports(1)
    process = command("--port=0", f"--rest_api_port={rest}", f"--model_base_path={half_plus_two.parent}")
    path = b"/v1/models/default:predict"
    until(lambda: connect(rest).close() is None)
    with connect(rest) as idle, connect(rest) as slow_head, connect(rest) as slow_body, connect(rest) as uploading:
        for connection in (idle, uploading):
            until(lambda one=connection: answered(one, path))
        slow_head.sendall(head(50)[:30])
        slow_body.sendall(head(50) + b'{"inst')
        uploading.sendall(head(len(BODY)).replace(PATH.encode(), path) + BODY[:5])
        assert answered(idle, path)  # so the server has read the other connections, too
        for _ in range(8):
            with connect(rest) as gone:
                gone.sendall(head(len(SLOW)).replace(PATH.encode(), path) + SLOW)
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert idle.recv(1000) == b""
        uploading.sendall(BODY[5:])
        assert uploading.recv(65536).endswith(b'{"predictions":[3.0]}')
        _, err = process.communicate(timeout=30)
    assert time.monotonic() - start < 10
    assert process.returncode == 0
    assert "Traceback" not in err


def answered(connection: socket.socket, path: bytes) -> bool:
    connection.sendall(head(len(BODY)).replace(PATH.encode(), path) + BODY)
    return connection.recv(65536).endswith(b'{"predictions":[3.0]}')


def ask(port: int, body: bytes = BODY) -> tuple[int, dict]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
    try:
        connection.request("POST", PATH, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def head(length: int) -> bytes:
    return f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def connect(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=30)


def test_slow_clients_do_not_keep_others_waiting(limited):
    slow = [connect(limited.rest) for _ in range(100)]
    try:
        for index, connection in enumerate(slow):
            connection.sendall(head(50)[: 30 if index % 2 else None])
        for _ in range(20):
            assert ask(limited.rest) == (200, {"predictions": [3.0]})
        # A body that does not arrive in time is answered; tensorflow/serving's limit for a request.
        answer = slow[0].recv(65536)
        assert b" 504 " in answer.split(b"\r\n")[0]
    finally:
        for connection in slow:
            connection.close()


def test_a_head_that_does_not_end_is_given_up(limited):
    """It must end within the time limit of a request; a connection that had an answer may be silent for longer."""
    with connect(limited.rest) as known, connect(limited.rest) as silent, connect(limited.rest) as slow:
        known.sendall(head(len(BODY)) + BODY)
        assert known.recv(65536).endswith(b'{"predictions":[3.0]}')
        slow.sendall(head(50)[:30])
        with connect(limited.rest) as later:
            assert (silent.recv(1000), slow.recv(1000), later.recv(1000)) == (b"", b"", b"")
        known.sendall(head(len(BODY)) + BODY)
        assert known.recv(65536).endswith(b'{"predictions":[3.0]}')


def test_work_for_a_client_that_is_gone_ends(server, until):
    """A reset connection ends the request at once, although the model's computation continues."""
    line = 'tensorflow:serving:request_count{model_name="slow",status="CANCELLED"} 1'
    assert line not in server.ask(METRICS)[1].decode()
    with connect(server.rest) as connection:
        connection.sendall(head(len(BODY)).replace(b"half_plus_two", b"slow") + BODY)
        assert server.json("/v1/models/slow")[0] == 200  # so the request has been read
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: line in server.ask(METRICS)[1].decode(), 1.5)  # before the computation ends


def test_hanging_up_leaves_nothing_in_the_log(limited):
    for length in (0, 10, len(BODY)):
        with connect(limited.rest) as connection:
            connection.sendall(head(len(BODY)) + BODY[:length])
    assert ask(limited.rest)[0] == 200
    assert "Traceback" not in limited.process.log.read_text()


@pytest.mark.parametrize("size", [LIMIT_BYTES + 1, 50 * LIMIT_BYTES, 10**15])
@pytest.mark.parametrize("asks", [b"", b"Expect: 100-continue\r\n"], ids=["sends", "asks first"])
def test_a_body_over_the_limit_is_refused_before_it_is_sent(limited, size, asks):
    with connect(limited.rest) as connection:
        connection.sendall(head(size).replace(b"Host", asks + b"Host"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert ask(limited.rest)[0] == 200


def test_a_body_over_the_limit_in_chunks_is_refused(limited):
    """Its length is known only as it arrives; the answer comes before the end."""
    part = b"%x\r\n%s\r\n" % (1000, b" " * 1000)
    with connect(limited.rest) as connection:
        connection.sendall(head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
        connection.sendall(part * (LIMIT_BYTES // 1000 + 1))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert ask(limited.rest)[0] == 200


def test_a_small_body_that_decompresses_to_more_than_the_limit_is_refused(limited):
    body = gzip.compress(b" " * 100 * LIMIT_BYTES)
    assert len(body) < LIMIT_BYTES
    with connect(limited.rest) as connection:
        connection.sendall(head(len(body)).replace(b"Host", b"Content-Encoding: gzip\r\nHost") + body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert ask(limited.rest)[0] == 200


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: 30000000"], 413),
        (["Content-Length: 30000000", "Connection: close"], 413),
        (["Content-Length: 30000000", "Expect: 200-ok"], 413),
        (["Transfer-Encoding: gzip"], 501),
        (["Transfer-Encoding: chunked", "", "no length"], 400),
        (["Transfer-Encoding: chunked", "", "ffffffff"], 413),
        (["no header"], 400),
        (["X: " + "x" * 70_000], 400),
    ],
    ids=lambda value: value[-1][:20] if isinstance(value, list) else None,
)
def test_a_client_that_sends_everything_before_it_reads_gets_the_refusal(limited, lines, status):
    with connect(limited.rest) as connection:
        connection.sendall("\r\n".join([f"POST {PATH} HTTP/1.1", "Host: x", *lines]).encode())
        connection.sendall(b"" if "no header" in lines or lines[0].startswith("X") else b"\r\n\r\n")
        for _ in range(30):
            connection.sendall(bytes(10**6))
        assert connection.recv(12) == b"HTTP/1.1 %d" % status


def test_what_follows_a_refusal_is_bounded(limited):
    with connect(limited.rest) as connection:
        connection.sendall(head(10**12))
        with pytest.raises(ConnectionError):
            connection.sendall(bytes(LINGER_BYTES + 100 * 10**6))


def test_all_bodies_together_are_bounded(limited, until):
    """Half-sent ones count, and what a body inflates to; over both protocols."""

    def large_tensor() -> bytes:
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = "half_plus_two"
        request.inputs["x"].dtype = 1
        request.inputs["x"].float_val.append(1.0)
        request.inputs["x"].tensor_shape.dim.add(size=10**8)
        return request.SerializeToString()

    def grpc_code(sent: int | bytes) -> str:
        with limited.channel() as channel:
            try:
                channel.unary_unary("/tensorflow.serving.PredictionService/Predict")(bytes(sent), timeout=30)
            except grpc.RpcError as error:
                return f"{error.code().name} {error.details()}"
        raise AssertionError("zeros are no request")

    large = b" " * (LIMIT_BYTES - len(BODY)) + BODY
    refusal = f"the server may hold {HELD_BYTES} bytes of requests at a time, and has no room for this one; try again"
    assert ask(limited.rest, large)[0] == 200
    with connect(limited.rest) as first, connect(limited.rest) as second:
        for connection in (first, second):
            connection.sendall(head(LIMIT_BYTES) + bytes(180_000))
        until(lambda: ask(limited.rest, large) == (429, {"error": refusal}))
        assert ask(limited.rest) == (200, {"predictions": [3.0]})
        assert grpc_code(200_000) == f"RESOURCE_EXHAUSTED {refusal}"
        assert grpc_code(1000).startswith("INVALID_ARGUMENT")
        assert grpc_code(large_tensor()) == f"RESOURCE_EXHAUSTED {refusal}"
        packed = gzip.compress(large)
        with connect(limited.rest) as zipped:
            zipped.sendall(head(len(packed)).replace(b"Host", b"Content-Encoding: gzip\r\nHost") + packed)
            assert zipped.recv(12) == b"HTTP/1.1 429"
    until(lambda: ask(limited.rest, large)[0] == 200)
    assert grpc_code(200_000).startswith("INVALID_ARGUMENT")


@pytest.mark.parametrize("key", ["x", "inputs", "signature_name"])
def test_deep_json_is_answered(server, key):
    deep = "[" * 500_000 + "]" * 500_000
    status, answer, _ = server.ask(PATH, f'{{"instances":[2.0],"{key}":{deep}}}')
    assert (status, "error" in json.loads(answer)) == ((200, False) if key == "x" else (400, True))


SLOW = b'{"instances":[' + b"{}," * 5_000_000 + b"NaN]}"
"""JSON that costs a second or so."""


def cpu_s(server) -> float:
    used = psutil.Process(server.process.pid).cpu_times()
    return used.user + used.system


@pytest.mark.parametrize("body", [b"[" * 16_000_000, b'{"a":' * 3_200_000, b'{"instances":' + b"[" * 16_000_000])
def test_nesting_costs_little_and_leaves_nothing_behind(server, body):
    process = psutil.Process(server.process.pid)
    assert server.json(PATH, body)[0] == 400
    before, used = process.memory_info().rss, cpu_s(server)
    for _ in range(4):
        status, answer = server.json(PATH, body)
        assert (status, "nested over 1000000 levels deep" in answer["error"]) == (400, True)
    assert cpu_s(server) - used < 4  # a tenth of what a parser in Python takes
    assert process.memory_info().rss - before < 4 * len(body)


@pytest.mark.parametrize("element", ["[]", "0", '"a"', '{"x":0}', "[[1]]"])
@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_the_first_wrong_element_is_found_at_little_cost(server, key, element):
    count = 4_000_000 // (len(element) + 1)
    before = cpu_s(server)
    assert server.json(PATH, f'{{"{key}":[{f"{element}," * count}[[1],2]]}}')[0] == 400
    assert cpu_s(server) - before < 2  # half of what a look at each element takes in Python


def test_no_work_goes_on_for_clients_that_have_left(server, until):
    before = cpu_s(server)
    status, answer = server.json(PATH, SLOW)
    assert (status, "Expecting value/list" in answer["error"] or "keys must be" in answer["error"]) == (400, True)
    once = cpu_s(server) - before
    before = cpu_s(server)
    for _ in range(8):
        with connect(server.rest) as connection:
            connection.sendall(head(len(SLOW)) + SLOW)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: server.ask(METRICS)[0] == 200 and idles(server))
    assert cpu_s(server) - before < 5 * once


def idles(server) -> bool:
    """Tell if the server takes next to no CPU time for a fifth of a second."""
    process = psutil.Process(server.process.pid)
    return process.cpu_percent(0.2) < 20


def test_names_of_strangers_have_series_for_a_while_only(server):
    """Names of models, methods and paths that a client makes up."""
    from tensorflow_serving.apis import predict_pb2

    def series() -> set[str]:
        lines = server.ask(METRICS)[1].decode().splitlines()
        return {line.rpartition(" ")[0] for line in lines}

    with server.channel() as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        for number in range(300):
            assert server.json(f"/v1/models/stranger{number}:predict", BODY)[0] == 404
            assert server.ask(f"/v1/models/stranger{number}")[0] == 404
            assert server.ask(f"/stranger{number}")[0] == 404
            request = predict_pb2.PredictRequest()
            request.model_spec.name = f"stranger{number}"
            with pytest.raises(grpc.RpcError):
                predict(request.SerializeToString(), timeout=30)
    named = {name for line in series() for name in re.findall(r'="(stranger\d+)"', line)}
    assert named == {f"stranger{number}" for number in range(290, 300)}


def test_flipped_bits_of_a_grpc_request(server):
    import numpy as np

    from serving.clients import Target, tf_serving_grpc

    body = tf_serving_grpc.encode(Target("", "half_plus_two", {}), {"x": np.float32([[1.0], [2.0]])})
    codes: Counter[str] = Counter()
    with server.channel() as channel:
        call = channel.unary_unary(tf_serving_grpc.METHOD)
        for bit in range(len(body) * 8):
            flipped = bytearray(body)
            flipped[bit // 8] ^= 1 << bit % 8
            try:
                call(bytes(flipped), timeout=30)
                codes["OK"] += 1
            except grpc.RpcError as error:
                codes[error.code().name] += 1
    assert set(codes) <= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}
    assert codes["OK"] >= 64  # one for every bit of the eight bytes of content
    assert codes["INVALID_ARGUMENT"] > 0

"""Makes the requests of ``fuzz.py``, and judges the answers."""

from __future__ import annotations

import http.client
import json
import math
import random
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import grpc
import numpy as np

from serving.clients import Target, tf_serving_grpc
from serving.launch import LOOPBACK

LIMIT_S = 30.0
"""A later answer counts as missing."""
MODELS = ("half_plus_two", "half_plus_three", "half_plus_two_tf1", "echo", "counter", "none")
REST_STATUS = {200, 400, 404, 409, 413, 429, 501}
GRPC_STATUS = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED", "OUT_OF_RANGE"}
GOOD = b'{"instances": [2.0]}'
GOOD_ANSWER = {"predictions": [3.0]}
DEPTH = 500_000
_NO_URI = re.compile("%(?![0-9A-Fa-f]{2})")

Outcome = tuple[str, str]  # what came back, and what is wrong with it


class RestFuzzer:
    """Sends bodies and paths over connections that are kept."""

    def __init__(self, chance: random.Random, rest: int, _grpc: int) -> None:
        self._chance = chance
        self._connection = http.client.HTTPConnection(LOOPBACK, rest, timeout=LIMIT_S)

    def once(self) -> Outcome:
        """Sends one request and judges the answer."""
        path, body = self._path(), self._body()
        try:
            self._connection.request(self._chance.choice(("POST",) * 9 + ("GET",)), path, body)
            response = self._connection.getresponse()
            status, answer = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return "REST no answer", f"{type(error).__name__}: {error} for {path} {body[:200]!r}"
        problem = "" if _is_proper(path, status, answer) else f"{path} {body[:200]!r}: {status} {answer[:200]!r}"
        return f"REST {status}", problem

    def is_still_right(self) -> bool:
        """Tells whether a good request is answered as it should be."""
        self._connection.request("POST", "/v1/models/half_plus_two:predict", GOOD)
        return bool(json.loads(self._connection.getresponse().read()) == GOOD_ANSWER)

    def close(self) -> None:
        self._connection.close()

    def _path(self) -> str:
        chance = self._chance
        version = chance.choice(("",) * 6 + ("/versions/123", "/versions/9" * 2, "/labels/MODEL_LABEL", "/labels/x"))
        method = chance.choice((":predict",) * 8 + (":classify", ":regress", "/metadata", ""))
        path = f"/v1/models/{chance.choice(MODELS)}{version}{method}"
        if chance.random() < 0.05:
            path = "/" + "".join(chance.choice("abc/:%2Fv1?#&=.~") for _ in range(chance.randrange(1, 60)))
        return path

    def _body(self) -> bytes:
        chance = self._chance
        document = {
            chance.choice(("instances", "inputs", "examples", "x", "signature_name")): self._value(0)
            for _ in range(chance.randrange(1, 4))
        }
        if chance.random() < 0.3:
            document = {"instances": np.random.default_rng(chance.randrange(99)).random((40, 10)).tolist()}
        body = bytearray(json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass"))
        if chance.random() < 0.5:
            _damage(chance, body)
        return bytes(body)

    def _value(self, depth: int) -> Any:
        chance = self._chance
        kind = chance.randrange(12 if depth < 4 else 8)
        if kind > 9:
            return {chance.choice(("b64", "x", "inputs", "y")): self._value(depth + 1)}
        if kind > 7:
            return [self._value(depth + 1)] * chance.randrange(4)
        return chance.choice(_SCALARS)(chance)


_SCALARS: tuple[Callable[[random.Random], Any], ...] = (
    lambda chance: chance.uniform(-10, 10),
    lambda chance: chance.randrange(-(10 ** chance.randrange(1, 30)), 10 ** chance.randrange(1, 30)),
    lambda chance: chance.choice((math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0)),
    lambda chance: chance.choice((None, True, False, "", "b64", "aGVsbG8=", "\ud800", "é", "\0")),
    lambda chance: [chance.random() for _ in range(chance.randrange(6))],
)


def _damage(chance: random.Random, body: bytearray) -> None:
    for _ in range(chance.randrange(1, 4)):
        if not body:
            return
        position = chance.randrange(len(body))
        kind = chance.randrange(4)
        if kind == 0:
            body[position] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del body[position : position + chance.randrange(1, 9)]
        elif kind == 2:
            body[position:position] = body[: chance.randrange(30)]
        else:
            body[position:position] = chance.choice((b"[", b"]", b"{", b"}", b",", b'"', b"NaN", b"1e999", b"\\u"))


class GrpcFuzzer:
    """Sends requests whose bits are flipped."""

    def __init__(self, chance: random.Random, _rest: int, port: int) -> None:
        self._chance = chance
        self._channel = grpc.insecure_channel(f"{LOOPBACK}:{port}", options=[("grpc.enable_http_proxy", 0)])
        x = np.random.default_rng(7).random((3, 1), np.float32)
        self._bodies = [tf_serving_grpc.encode(Target("", model, {}), {"x": x}) for model in MODELS]
        self._calls = [
            self._channel.unary_unary(f"/tensorflow.serving.PredictionService/{name}")
            for name in ("Predict",) * 6 + ("Classify", "Regress", "MultiInference", "GetModelMetadata")
        ] + [self._channel.unary_unary("/tensorflow.serving.ModelService/GetModelStatus")]

    def once(self) -> Outcome:
        """Sends one request and judges the answer."""
        body = bytearray(self._chance.choice(self._bodies))
        for _ in range(self._chance.randrange(4)):
            if self._chance.random() < 0.7:
                body[self._chance.randrange(len(body))] ^= 1 << self._chance.randrange(8)
            else:
                _damage(self._chance, body)
        try:
            self._chance.choice(self._calls)(bytes(body), timeout=LIMIT_S)
            return "gRPC OK", ""
        except grpc.RpcError as error:
            code = error.code().name
            problem = "" if code in GRPC_STATUS else f"{bytes(body)!r}: {code} {error.details()}"
            return f"gRPC {code}", problem

    def close(self) -> None:
        self._channel.close()


class RawFuzzer:
    """Sends what no client library would send."""

    def __init__(self, chance: random.Random, rest: int, grpc_port: int) -> None:
        self._chance = chance
        self._ports = (rest, grpc_port)

    def once(self) -> Outcome:
        """Sends one thing; within the limit, an answer must come or the connection close."""
        kind = self._chance.choice((_cut, _half_closed, _noise, _too_large, _deep, _broken_chunk, _hang_up))
        try:
            problem = kind(self._chance, self._ports)
        except (ConnectionError, BrokenPipeError):
            problem = ""  # it was refused without reading on
        except (OSError, http.client.HTTPException) as error:
            problem = f"{kind.__name__}: {type(error).__name__}: {error}"
        return f"raw{kind.__name__}", problem

    def close(self) -> None:
        pass


def _head(length: int, model: str = "half_plus_two") -> bytes:
    return f"POST /v1/models/{model}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def _connect(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=LIMIT_S)


def _cut(chance: random.Random, ports: tuple[int, int]) -> str:
    text = _head(len(GOOD)) + GOOD
    with _connect(ports[0]) as connection:
        connection.sendall(text[: chance.randrange(1, len(text) - 1)])
    return ""


def _half_closed(chance: random.Random, ports: tuple[int, int]) -> str:
    """Ends sending, as a client may, and still waits for the answers."""
    count = chance.randrange(1, 4)
    with _connect(ports[0]) as connection:
        connection.sendall((_head(len(GOOD)) + GOOD) * count)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return "" if answer.count(b"200 OK") == count else f"half closed: {answer[:100]!r} for {count} requests"


def _noise(chance: random.Random, ports: tuple[int, int]) -> str:
    with _connect(chance.choice(ports)) as connection:
        connection.sendall(chance.randbytes(chance.randrange(1, 400)))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    return ""


def _too_large(_chance: random.Random, ports: tuple[int, int]) -> str:
    with _connect(ports[0]) as connection:
        connection.sendall(_head(10**10))
        with suppress(ConnectionError):
            for _ in range(200):
                connection.sendall(b" " * 65536)
        with suppress(ConnectionError):
            answer = connection.recv(65536)
            return "" if b" 413 " in answer.split(b"\r\n")[0] else f"too large: {answer[:100]!r}"
    return ""


def _deep(chance: random.Random, ports: tuple[int, int]) -> str:
    brackets = b"[" * DEPTH + b"]" * DEPTH
    key = chance.choice((b"x", b"instances", b"inputs", b"signature_name"))
    body = b'{"instances":[2.0],"%s":%s}' % (key, brackets)
    connection = http.client.HTTPConnection(LOOPBACK, ports[0], timeout=LIMIT_S)
    try:
        connection.request("POST", "/v1/models/half_plus_two:predict", body)
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    return "" if _is_proper("", response.status, answer) else f"deep: {response.status} {answer[:100]!r}"


def _broken_chunk(chance: random.Random, ports: tuple[int, int]) -> str:
    """Sends a chunk, and then something else: answered at once, or the connection is closed."""
    head = _head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with _connect(ports[0]) as connection:
        connection.sendall(head + b"5\r\n" + GOOD[:5] + b"\r\n")
        connection.sendall(b"g" + chance.randbytes(20) + b"\r\n")
        answer = connection.recv(65536)
    return "" if not answer or b" 400 " in answer.split(b"\r\n")[0] else f"broken chunk: {answer[:100]!r}"


def _hang_up(chance: random.Random, ports: tuple[int, int]) -> str:
    """Leaves before the answer."""
    connection = _connect(ports[0])
    connection.sendall((_head(len(GOOD)) + GOOD) * chance.randrange(1, 5))
    connection.close()
    return ""


def slow_loris(rest: int, count: int) -> Iterator[socket.socket]:
    """Opens connections whose heads and bodies do not end."""
    for index in range(count):
        connection = _connect(rest)
        connection.sendall((_head(100) + b'{"inst') if index % 2 else _head(100)[:40])
        yield connection


def _is_proper(path: str, status: int, answer: bytes) -> bool:
    if _NO_URI.search(path):
        return status == 400 and answer.startswith(b"<html>")
    if not path.startswith("/v1/") and status == 404:
        return True
    if status == 413:
        return True
    if status not in REST_STATUS:
        return False
    try:
        document = json.loads(answer.decode("utf-8", "surrogateescape"))
    except ValueError:
        return status == 400 and not answer  # a version beyond 64 bits is answered without a body
    return ("error" in document) == (status != 200)

"""Run cases against a server, over real sockets."""

from __future__ import annotations

import json
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from serving.conformance.case import ANY, Case, Growth, Grpc, Rest
from serving.conformance.services import METRICS

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server: the URL of its REST API, and a channel to its gRPC API."""

    rest: str
    channel: Any


@contextmanager
def connect(rest: str, grpc_target: str) -> Iterator[Endpoint]:
    """Connect to the server at a URL and a gRPC target, ``HOST:PORT``."""
    import grpc

    # A server under test is addressed directly, without the environment's HTTP proxy.
    with grpc.insecure_channel(grpc_target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield Endpoint(rest.rstrip("/"), channel)


def run_case(case: Case, target: Endpoint) -> str:
    """Run a case, and return the first wrong answer of the server in one line; empty if all are right.

    Raises:
        OSError: nothing answers.
    """
    for number, step in enumerate(case.steps, 1):
        problem = _run(step, target)
        if problem:
            return f"step {number} of {len(case.steps)}, {_named(step)}: {problem}"
    return ""


def _run(step: Rest | Grpc | Growth, target: Endpoint) -> str:
    if isinstance(step, Rest):
        return _run_rest(step, target.rest)
    if isinstance(step, Grpc):
        return _run_grpc(step, target.channel)
    before = _metrics(target.rest)
    for inner in step.steps:
        problem = _run(inner, target)
        if problem:
            return f"{_named(inner)}: {problem}"
    after = _metrics(target.rest)
    for line, by in step.grow.items():
        grown = after.get(line, 0.0) - before.get(line, 0.0)
        if grown != by:
            return f"{line} must grow by {by}. Received: {grown}"
    return ""


def _run_rest(step: Rest, url: str) -> str:
    status, body, headers = ask(step, url)
    text = body.decode("utf-8", "surrogateescape")
    shown = text[:500]
    if status != step.status:
        return f"expected status {step.status}. Received: {status} {shown}"
    if step.content_type is not None and headers.get("Content-Type") != step.content_type:
        return f"expected Content-Type {step.content_type}. Received: {headers.get('Content-Type')}"
    for name, value in step.answer_headers.items():
        if headers.get(name) != value:
            return f"expected the header {name}: {value}. Received: {headers.get(name)}"
    if step.raw is not None and body != step.raw:
        return f"expected the body {step.raw!r}. Received: {shown}"
    if step.longest is not None and len(body) > step.longest:
        return f"expected at most {step.longest} bytes. Received: {len(body)}"
    for part in step.parts:
        if part not in text:
            return f"expected {part} in the body. Received: {shown}"
    return _json_problem(step, text)


def _json_problem(step: Rest, text: str) -> str:
    if step.answer is ANY and not step.error:
        return ""
    try:
        answer = json.loads(text)
    except ValueError:
        return f"expected JSON. Received: {text[:500]}"
    if step.answer is not ANY and not same(answer, step.answer):
        return f"expected {json.dumps(step.answer)[:500]}. Received: {text[:500]}"
    if step.error:
        error = answer.get("error") if isinstance(answer, dict) and len(answer) == 1 else None
        if not isinstance(error, str) or step.error not in error:
            return f"expected an error with: {step.error}. Received: {text[:500]}"
    return ""


def ask(step: Rest, url: str) -> tuple[int, bytes, Any]:
    """Send a request; return the status, body and headers of the answer. Raises OSError: nothing answers."""
    data = step.body.encode("utf-8", "surrogateescape") if isinstance(step.body, str) else step.body
    method = step.method or ("GET" if data is None else "POST")
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"not an http URL. Received: {url}")
    request = urllib.request.Request(url + step.path, data, dict(step.headers), method=method)  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def _run_grpc(step: Grpc, channel: Any) -> str:
    import grpc

    call, request, response_class = _call(step, channel)
    try:
        response = call(request, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        code, details = error.code().name, error.details() or ""
        if code != step.code:
            return f"expected {step.code}. Received: {code}: {details[:500]}"
        if step.error not in details:
            return f"expected a text with: {step.error}. Received: {details[:500]}"
        if step.longest is not None and len(details) > step.longest:
            return f"expected at most {step.longest} characters. Received: {len(details)}"
        return ""
    if step.code != "OK":
        return f"expected {step.code}. Received: OK"
    if step.answer is not None:
        from google.protobuf import text_format

        expected = text_format.Parse(step.answer, response_class())
        if response != expected:
            received = text_format.MessageToString(response, as_one_line=True)
            return f"expected {text_format.MessageToString(expected, as_one_line=True)}. Received: {received[:500]}"
    return ""


def _call(step: Grpc, channel: Any) -> tuple[Any, Any, Any]:
    """Return the method to call, the request, and the class of the response."""
    from google.protobuf import message_factory, text_format
    from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

    files = {"PredictionService": prediction_service_pb2, "ModelService": model_service_pb2}
    service, _, name = step.method.partition("/")
    method = files[service].DESCRIPTOR.services_by_name[service].methods_by_name[name]
    request_class = message_factory.GetMessageClass(method.input_type)
    response_class = message_factory.GetMessageClass(method.output_type)
    call = channel.unary_unary(
        f"/tensorflow.serving.{step.method}", request_class.SerializeToString, response_class.FromString
    )
    return call, text_format.Parse(step.request, request_class()), response_class


def _metrics(url: str) -> dict[str, float]:
    """Read the metrics page as values by the text before them; empty if there is no such page."""
    status, body, _ = ask(Rest(METRICS), url)
    if status != 200:
        return {}
    lines = [line.rpartition(" ") for line in body.decode().split("\n") if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def same(received: Any, expected: Any) -> bool:
    """Compare two JSON values: types must match, NaN equals NaN, and floats are compared in float32's precision."""
    if type(received) is not type(expected):
        return False
    if isinstance(expected, dict):
        return received.keys() == expected.keys() and all(same(received[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(received) == len(expected) and all(map(same, received, expected))
    if isinstance(expected, float):
        return received == expected or _float32(received) == _float32(expected)
    return bool(received == expected)


def _float32(value: float) -> bytes | float:
    """Return the bits of a number as float32; the number itself if it is too large for float32."""
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return value


def _named(step: Rest | Grpc | Growth) -> str:
    if isinstance(step, Rest):
        return f"{step.method or ('GET' if step.body is None else 'POST')} {step.path[:80]}"
    return step.method if isinstance(step, Grpc) else "metrics"

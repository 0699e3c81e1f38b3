"""The server by the letter of the protocol: other people's clients, the repository API, versions, hostile bodies."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from patience import until
from starlette.requests import Request

from serving.clients.transport import Call, Refused, Unreachable, send
from serving.launch import Server
from serving.limits import LINGER_BYTES, Held, Share
from serving.open_inference import bodies, connection
from serving.open_inference.errors import BodyError
from serving.wire.datatypes import NUMPY

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
SERVICE = "/inference.GRPCInferenceService"
DATA = {datatype: [[0, 1], [1, 0]] if datatype == "BOOL" else [[3, 4], [5, 6]] for datatype in NUMPY}


def address(server: Server, protocol: str = "open-inference-rest") -> tuple[str, int]:
    host, _, port = server.recipe.endpoints[protocol].partition("://")[2].partition(":")
    return host, int(port)


def ask(
    server: Server, verb: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and JSON of an answer; the connection's own error if there is none."""
    link = http.client.HTTPConnection(*address(server), timeout=60)
    try:
        link.putrequest(verb, path, skip_accept_encoding=True)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            link.putheader(name, value)
        link.endheaders(body)
        answer = link.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        link.close()


def rpc(server: Server, method: str, request: Any) -> bytes:
    return send(
        Call(server.recipe.endpoints["open-inference-grpc"], f"{SERVICE}/{method}", {}), request.SerializeToString()
    )


def document(**changes: Any) -> bytes:
    inputs = [{"name": f"in_{name}", "datatype": name, "shape": [2, 2], "data": data} for name, data in DATA.items()]
    return json.dumps({"inputs": inputs, "outputs": [{"name": "out_FP32"}], **changes}).encode()


INFER = "/v2/models/echo/infer"


@pytest.mark.parametrize("client", ["tritonclient", "kserve"])
def test_other_peoples_clients(echo: Server, client: str) -> None:
    urls = [echo.recipe.endpoints[f"open-inference-{protocol}"] for protocol in ("rest", "grpc")]
    done = subprocess.run(
        [sys.executable, str(HERE / f"asked_by_{client}.py"), *urls],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/x-www-form-urlencoded"},  # curl's default
        {"Content-Type": "application/octet-stream"},
        {"Content-Type": "application/json; charset=utf-8"},
    ],
)
def test_a_body_without_the_binary_header_is_json(echo: Server, headers: dict[str, str]) -> None:
    status, answer = ask(echo, "POST", INFER, document(), headers)
    assert (status, answer["outputs"][0]["data"]) == (200, [3, 4, 5, 6])
    assert (answer["model_name"], answer["model_version"]) == ("echo", "1")


# -- The repository API ----------------------------------------------------------------------------

CLOSED = [("index", b"{}"), ("models/echo/unload", b""), ("models/echo/load", b"")]


@pytest.mark.parametrize(("path", "body"), CLOSED)
def test_the_repository_is_closed_over_rest(echo: Server, path: str, body: bytes) -> None:
    assert ask(echo, "POST", f"/v2/repository/{path}", body) == (404, {"error": "Not Found"})
    assert ask(echo, "GET", "/v2/health/ready") == (200, {"ready": True})
    assert ask(echo, "POST", INFER, document())[0] == 200


@pytest.mark.parametrize("method", ["RepositoryModelUnload", "RepositoryModelLoad", "RepositoryIndex"])
def test_the_repository_is_closed_over_grpc(echo: Server, method: str) -> None:
    with pytest.raises(Refused) as refused:
        rpc(echo, method, pb.RepositoryModelUnloadRequest(model_name="echo"))
    assert refused.value.status == "UNIMPLEMENTED"
    assert pb.ServerReadyResponse.FromString(rpc(echo, "ServerReady", pb.ServerReadyRequest())).ready


def is_ready(server: Server) -> tuple[int, bool, bool]:
    """Status of REST's page, and both of gRPC's answers."""
    whole = pb.ServerReadyResponse.FromString(rpc(server, "ServerReady", pb.ServerReadyRequest()))
    model = pb.ModelReadyResponse.FromString(rpc(server, "ModelReady", pb.ModelReadyRequest(name="echo")))
    return ask(server, "GET", "/v2/health/ready")[0], whole.ready, model.ready


@pytest.mark.parametrize("over_grpc", [False, True])
def test_where_it_is_open_ready_means_that_every_model_answers(open_echo: Server, over_grpc: bool) -> None:
    def change(word: str) -> None:
        if over_grpc:
            request = getattr(pb, f"RepositoryModel{word}Request")(model_name="echo")
            assert b"echo" in rpc(open_echo, f"RepositoryModel{word}", request)
        else:
            assert ask(open_echo, "POST", f"/v2/repository/models/echo/{word.lower()}")[0] == 200

    assert is_ready(open_echo) == (200, True, True)
    change("Unload")
    assert is_ready(open_echo) == (503, False, False)
    assert ask(open_echo, "GET", "/v2/models/echo/ready")[0] == 503
    assert ask(open_echo, "POST", "/v2/repository/index")[1] == [{"name": "echo", "state": "UNAVAILABLE"}]
    assert ask(open_echo, "POST", INFER, document()) == (503, {"error": "Model with name echo is not ready."})
    with pytest.raises(Unreachable, match="is not ready"):  # a client may try again
        rpc(open_echo, "ModelInfer", pb.ModelInferRequest(model_name="echo"))
    change("Load")
    assert is_ready(open_echo) == (200, True, True)
    assert ask(open_echo, "POST", INFER, document())[0] == 200


def test_a_model_that_is_not_there_is_neither_loaded_nor_unloaded(open_echo: Server) -> None:
    for word in ("load", "unload"):
        assert ask(open_echo, "POST", f"/v2/repository/models/other/{word}")[0] == 404


# -- Versions and errors ---------------------------------------------------------------------------


def test_a_version_that_is_not_there_is_refused(echo: Server) -> None:
    named = "/v2/models/echo/versions"
    assert ask(echo, "GET", f"{named}/1")[1]["versions"] == ["1"]
    assert ask(echo, "GET", f"{named}/1/ready") == (200, {"name": "echo", "ready": True})
    assert ask(echo, "POST", f"{named}/1/infer", document())[0] == 200
    error = {"error": "Model echo has version 1 only. Received: 2"}
    for verb, path in (("GET", f"{named}/2"), ("GET", f"{named}/2/ready"), ("POST", f"{named}/2/infer")):
        assert ask(echo, verb, path, document()) == (404, error)
    for method, request in (
        ("ModelInfer", pb.ModelInferRequest(model_name="echo", model_version="2")),
        ("ModelReady", pb.ModelReadyRequest(name="echo", version="2")),
        ("ModelMetadata", pb.ModelMetadataRequest(name="echo", version="2")),
    ):
        with pytest.raises(Refused, match="has version 1 only") as refused:
            rpc(echo, method, request)
        assert refused.value.status == "NOT_FOUND"


def test_metadata_over_grpc_has_versions_and_platform(echo: Server) -> None:
    answer = pb.ModelMetadataResponse.FromString(rpc(echo, "ModelMetadata", pb.ModelMetadataRequest(name="echo")))
    assert (list(answer.versions), answer.platform) == (["1"], "onnxruntime_onnx")


def nested(depth: int) -> bytes:
    return b'{"inputs": ' + b"[" * depth + b"]" * depth + b"}"


def data(value: Any, datatype: str) -> bytes:
    tensor = {"name": f"in_{datatype}", "datatype": datatype, "shape": [1, 2], "data": value}
    others = [
        {"name": f"in_{name}", "datatype": name, "shape": [2, 2], "data": rows}
        for name, rows in DATA.items()
        if name != datatype
    ]
    return json.dumps({"inputs": [tensor, *others]}).encode()


BIG = 64 * 2**20
WITH_GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("verb", "path", "body", "headers", "status"),
    [
        ("GET", "/nowhere", b"", {}, 404),
        ("GET", "/v1/models", b"", {}, 404),
        ("GET", "/openapi.json", b"", {}, 404),
        ("GET", "/v2/", b"", {}, 404),
        ("GET", INFER, b"", {}, 405),
        ("DELETE", "/v2/models/echo", b"", {}, 405),
        ("GET", "/v2/models/other", b"", {}, 404),
        ("POST", INFER, b"", {}, 400),
        ("POST", INFER, b"{", {}, 400),
        ("POST", INFER, b"[]", {}, 400),
        ("POST", INFER, b"{}", {}, 400),
        ("POST", INFER, document(id=7), {}, 400),
        ("POST", INFER, document(outputs=[{"name": "out_FP16"}]), {}, 400),  # no form in JSON
        ("POST", INFER, data([300, 0], "UINT8"), {}, 400),
        ("POST", INFER, data([2**70, 0], "INT64"), {}, 400),
        ("POST", INFER, data([2**63, 0], "INT64"), {}, 400),
        ("POST", INFER, data([[[1]], 0], "FP32"), {}, 400),
        ("POST", INFER, data([1e39, 0], "FP32"), {}, 400),
        ("POST", INFER, data([0, -1e39], "FP32"), {}, 400),
        ("POST", INFER, data([70000, 0], "FP16"), {}, 400),
        ("POST", INFER, data([0.5, 0], "FP32").replace(b"0.5", b"1e400"), {}, 400),
        ("POST", INFER, data([1, -1], "UINT64"), {}, 400),
        ("POST", INFER, data([1, -129], "INT8"), {}, 400),
        ("POST", INFER, data([1.5, 0], "INT32"), {}, 400),
        ("POST", INFER, data([1e19, 0], "INT64"), {}, 400),
        ("POST", INFER, data(["1", "2"], "FP32"), {}, 400),
        ("POST", INFER, data([True, 1.0], "INT16"), {}, 400),
        ("POST", INFER, data([2, 0], "BOOL"), {}, 400),
        ("POST", INFER, data(["x" * 100_000, *range(100_000)], "FP32"), {}, 400),
        ("POST", INFER, document().replace(b"[2, 2]", b"[%d, 2]" % 2**70), {}, 400),
        ("POST", INFER, document().replace(b"[2, 2]", b"[4611686018427387904, 2]"), {}, 400),
        ("POST", INFER, nested(100), {}, 400),
        ("POST", INFER, nested(1100), {}, 400),
        ("POST", INFER, b"[" * 16_000_000, {}, 413),
        ("POST", INFER, b'{"a":' * 3_200_000, {}, 413),
        ("POST", INFER, b'{"a":' * 100_000, {}, 400),
        ("POST", INFER, b'{"inputs": [' + b"{}," * 4_000_000, {}, 413),
        ("POST", INFER, b"[0" + b",0" * 8_000_000, {}, 413),
        ("POST", INFER, b"", {"Content-Length": str(10**12)}, 413),
        ("POST", INFER, document(), WITH_GZIP, 400),
        ("POST", INFER, gzip.compress(document())[:-9], WITH_GZIP, 400),
        ("POST", INFER, gzip.compress(document()) * 2, WITH_GZIP, 400),
        ("POST", INFER, gzip.compress(b"") * 500_000, WITH_GZIP, 400),
        ("POST", INFER, gzip.compress(b" " * BIG), WITH_GZIP, 413),
        ("POST", INFER, gzip.compress(gzip.compress(b" " * BIG)), WITH_GZIP, 400),
        ("POST", INFER, document(), {"Content-Encoding": "br"}, 415),
        ("POST", INFER, document(), {"Content-Encoding": "gzip, gzip"}, 415),
    ],
)
def test_every_error_is_json_and_cheap(
    echo: Server, verb: str, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    process = psutil.Process(echo.pid)
    before = process.cpu_times()
    received, answer = ask(echo, verb, path, body, headers)
    after = process.cpu_times()
    assert (received, list(answer)) == (status, ["error"]), answer
    assert isinstance(answer["error"], str)
    assert len(answer["error"]) < 1000
    # One second, and as much for 16 MB: a hundred times what it takes, and a tenth of what a quadratic reader takes.
    assert after.user + after.system - before.user - before.system < 1 + len(body) / 16e6


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
def test_compressed_bodies_are_read(echo: Server, coding: str) -> None:
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[coding]
    status, answer = ask(echo, "POST", INFER, pack(document()), {"Content-Encoding": coding})
    assert (status, answer["outputs"][0]["data"]) == (200, [3, 4, 5, 6])


def test_values_that_are_not_binary_are_bounded_over_grpc_too(echo: Server) -> None:
    request = pb.ModelInferRequest(model_name="echo")
    request.inputs.add(name="in_UINT8", datatype="UINT8", shape=[2_500_000, 2]).contents.uint_contents.extend(
        bytes(5_000_000)
    )
    with pytest.raises(Refused, match="may have 4000000 values") as refused:
        rpc(echo, "ModelInfer", request)
    assert refused.value.status == "RESOURCE_EXHAUSTED"


def test_bodies_have_the_bounds_of_the_flags(start_echo: Any, tmp_path: Path) -> None:
    with start_echo(tmp_path, "--max_body_bytes=2000000", "--max_inflation=2") as server:
        blank = b" " * 1_900_000
        assert ask(server, "POST", INFER, blank + document())[0] == 200
        assert ask(server, "POST", INFER, blank * 2)[0] == 413
        assert ask(server, "POST", INFER, gzip.compress(blank + document()), WITH_GZIP)[0] == 413
        # Together they are bounded too: half-sent ones count until their clients are gone.
        head_of_half = head(b"Content-Length: 1950000")
        with ExitStack() as held:
            links = [held.enter_context(connected(server, head_of_half + blank)) for _ in range(3)]
            (refused, *_), _, _ = select.select(links, [], [], 30)
            assert refused.recv(12) == b"HTTP/1.1 503"
            assert refused_over_grpc(server, 1_900_000).startswith("RESOURCE_EXHAUSTED: the server may hold 4000000")
            assert refused_over_grpc(server, 1000).startswith("NOT_FOUND")
        assert until(lambda: ask(server, "POST", INFER, blank + document())[0] == 200)
        assert refused_over_grpc(server, 1_900_000).startswith("NOT_FOUND")
        assert refused_over_grpc(server, 2_000_000).startswith("RESOURCE_EXHAUSTED: Received message larger than max")
        assert refused_over_grpc(server, 1_900_000, grpc.Compression.Gzip).startswith("RESOURCE_EXHAUSTED: a gRPC mess")
        with connected(server, head_of_half) as half, connected(server, b"") as silent:
            leave(server, b"[" + b"0," * 900_000)
            process = psutil.Process(server.pid)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert silent.recv(1) == b""
            answer = http.client.HTTPResponse(half)
            answer.begin()
            assert (answer.status, json.loads(answer.read())) == (503, {"error": "the server is stopping"})


def refused_over_grpc(server: Server, size: int, compression: Any = grpc.Compression.NoCompression) -> str:
    """The status of a request for a model that is not there, of ``size`` bytes and a few."""
    request = pb.ModelInferRequest(model_name="none", raw_input_contents=[bytes(size)])
    with grpc.insecure_channel(":".join(map(str, address(server, "open-inference-grpc")))) as channel:
        call = channel.unary_unary(f"{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError) as refused:
            call(request.SerializeToString(), timeout=30, compression=compression)
    return f"{refused.value.code().name}: {refused.value.details()}"


def test_a_body_that_stops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is shortened: it is a minute."""
    monkeypatch.setattr(bodies, "BODY_S", 0.05)

    async def read() -> None:
        first = {"type": "http.request", "body": b"{", "more_body": True}
        sent = iter([first])

        async def receive() -> dict[str, Any]:
            for message in sent:
                return message
            return await asyncio.Future()

        scope = {"type": "http", "method": "POST", "headers": []}
        held = Held(10)
        await bodies.Bodies(bodies.Bounds(), held).read(Request(scope, receive), Share(held))

    with pytest.raises(BodyError, match="did not arrive") as refused:
        asyncio.run(read())
    assert refused.value.status == 408


HEAVY = document().replace(b"[[3, 4], [5, 6]]", b"[" + b"0," * 3_000_000 + b"0]", 1)


def cpu_s(server: Server) -> float:
    used = psutil.Process(server.pid).cpu_times()
    return float(used.user + used.system)


def leave(server: Server, body: bytes) -> None:
    """Send a whole request, and reset the connection."""
    with connected(server, head(b"Content-Length: %d" % len(body)) + body) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_no_work_goes_on_for_clients_that_have_left(echo: Server) -> None:
    before = cpu_s(echo)
    assert ask(echo, "POST", INFER, HEAVY)[0] == 400
    once = cpu_s(echo) - before
    before = cpu_s(echo)
    for _ in range(20):
        leave(echo, HEAVY)
    assert ask(echo, "POST", INFER, document())[0] == 200  # its turn comes after theirs
    assert cpu_s(echo) - before < 10 * once


def test_names_of_strangers_have_no_series(echo: Server) -> None:
    def series() -> set[str]:
        link = http.client.HTTPConnection(*address(echo), timeout=10)
        link.request("GET", "/metrics")
        lines = link.getresponse().read().decode().splitlines()
        link.close()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    for number in range(300):
        name = f"stranger{number}"
        assert ask(echo, "POST", f"/v2/models/{name}/infer", document())[0] == 404
        assert ask(echo, "GET", f"/v2/models/echo/versions/{name}")[0] == 404
        assert ask(echo, "GET", f"/{name}")[0] == 404
        with pytest.raises(Refused):
            rpc(echo, "ModelInfer", pb.ModelInferRequest(model_name=name))
        if number == 0:
            before = series()
    assert series() == before
    assert not any("stranger" in line for line in before)


def test_hostile_bodies_leave_no_memory_behind(echo: Server) -> None:
    process = psutil.Process(echo.pid)
    bodies = [(b"[" * BIG, {}), (b"{}," * (BIG // 3), {}), (gzip.compress(b"[" * BIG), WITH_GZIP)]
    ask(echo, "POST", INFER, *bodies[0])
    before = process.memory_info().rss
    for body, headers in bodies * 2:
        assert ask(echo, "POST", INFER, body, headers)[0] == 413
    assert process.memory_info().rss - before < 3 * BIG


@contextmanager
def connected(server: Server, sent: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(address(server), timeout=connection.HEAD_S + 30) as link:
        link.sendall(sent)
        yield link


def received(link: socket.socket) -> bytes:
    return b"".join(iter(lambda: link.recv(65536), b""))


@pytest.mark.parametrize(
    "sent",
    [b"no HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * connection.MAX_HEAD_BYTES],
    ids=["no HTTP", "a long head"],
)
def test_what_is_no_http_gets_an_error_as_json(echo: Server, sent: bytes) -> None:
    with connected(echo, sent) as link:
        head, _, body = received(link).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert list(json.loads(body)) == ["error"]


def head(*lines: bytes, path: str = INFER) -> bytes:
    return b"\r\n".join([b"POST %s HTTP/1.1" % path.encode(), b"Host: x", *lines, b"\r\n"])


LONG = b"Content-Length: 30000000"
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize("close", [b"Connection: keep-alive", b"Connection: close"])
@pytest.mark.parametrize(
    ("first", "status"),
    [
        (lambda close: head(LONG, close, path="/nowhere"), 404),
        (lambda close: head(LONG, close, path="/v2/models/other/infer"), 404),
        (lambda close: head(LONG, close, path="/metrics"), 405),
        (lambda close: head(LONG, close, b"Content-Encoding: br"), 415),
        (lambda close: head(b"Content-Length: 70000000", close) + bytes(40_000_000), 413),
        (lambda close: head(CHUNKED, close) + b"%x\r\n" % 10**8 + bytes(65 * 2**20), 413),
        (lambda close: head(CHUNKED, close) + b"no length\r\n", 400),
        (lambda close: head(close, b"no header"), 400),
        (lambda close: head(close, b"X: ").rstrip() + b"x" * connection.MAX_HEAD_BYTES, 400),
    ],
    ids=["no path", "no model", "no method", "no coding", "length", "chunks", "no chunk", "no head", "long head"],
)
def test_a_client_that_sends_everything_before_it_reads_gets_the_refusal(
    echo: Server, first: Callable[[bytes], bytes], status: int, close: bytes
) -> None:
    with connected(echo, first(close)) as link:
        for _ in range(30):
            link.sendall(bytes(10**6))
        answer = http.client.HTTPResponse(link)
        answer.begin()
        assert (answer.status, list(json.loads(answer.read()))) == (status, ["error"])


def test_a_connection_goes_on_after_a_refusal_that_came_before_the_end_of_the_body(echo: Server) -> None:
    with connected(echo, head(LONG, path="/nowhere") + bytes(30_000_000) + LIVE) as link:
        answers = b""  # both may come together
        while answers.count(b"HTTP/1.1 ") < 2 and (more := link.recv(65536)):
            answers += more
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"404", b"200"]


def test_what_follows_a_refusal_is_bounded(echo: Server) -> None:
    endless = head(b"Content-Length: %d" % 10**12, b"Content-Encoding: br")
    with connected(echo, endless) as link, pytest.raises(ConnectionError):
        link.sendall(bytes(LINGER_BYTES + 100 * 10**6))


LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def test_half_a_head_is_closed_after_a_time(echo: Server) -> None:
    """Also when single bytes of it keep coming, and when it follows an answer."""
    started = time.monotonic()
    with (
        connected(echo, b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\n") as half,
        connected(echo, LIVE + b"GET / HT") as second,
        connected(echo, b"GET / HTTP/1.1\r\n") as slow,
    ):
        slow.settimeout(0.5)
        while time.monotonic() - started < connection.HEAD_S + 30:
            try:
                slow.sendall(b"x")
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert time.monotonic() - started >= connection.HEAD_S - 1
        assert received(half) == b""
        assert received(second).endswith(b'{"live":true}')
    with connected(echo, LIVE.replace(b"Host", b"Connection: close\r\nHost")) as link:
        assert b'{"live":true}' in received(link)


def test_a_connection_serves_many_requests(echo: Server) -> None:
    link = http.client.HTTPConnection(*address(echo), timeout=10)
    for _ in range(3):
        link.request("POST", INFER, document())
        assert np.ravel(json.loads(link.getresponse().read())["outputs"][0]["data"]).tolist() == [3, 4, 5, 6]
    link.close()

"""A server with TLS, a UNIX socket, a health service and a short time limit; and without metrics and CORS."""

from __future__ import annotations

import datetime
import ipaddress
import time

import grpc
import numpy as np
import pytest

from serving.conformance.case import case as steps
from serving.conformance.errors import CASES
from serving.conformance.run import Endpoint, run_case
from serving.launch import LOOPBACK
from serving.limits import Held, Share
from serving.tf_serving.base.deadlines import begin
from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.rest_api.body import (
    FREE,
    MIN_COMPRESSED,
    BodyTooLargeError,
    accepts_gzip,
    compressed,
    decompressed,
)

ROWS = '{"instances":[1.0,2.0]}'


def certificate(name: str, issuer=None):
    """A key and a certificate in PEM, of an authority if there is no issuer."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
    )
    made = builder.sign(issuer[0] if issuer else key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key, made, pem, made.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority():
    return certificate("authority")


@pytest.fixture(scope="module")
def other(written, slow, run_server, authority, tmp_path_factory):
    """The server, and the path of its socket."""
    folder = tmp_path_factory.mktemp("other")
    _, _, key, cert = certificate(LOOPBACK, authority)
    pems = {"server_key": key, "server_cert": cert, "custom_ca": authority[3]}
    lines = [f"{name}: {pem.decode()!r}" for name, pem in pems.items()]
    (folder / "ssl").write_text("\n".join([*lines, "client_verify: true"]))
    (folder / "models").write_text(
        "model_config_list { "
        f'config {{ name: "half_plus_two" base_path: "{written}/half_plus_two" model_platform: "tensorflow" }} '
        f'config {{ name: "slow" base_path: "{written}/slow" model_platform: "tensorflow" }} }}'
    )
    flags = (
        f"--model_config_file={folder}/models",
        f"--ssl_config_file={folder}/ssl",
        f"--grpc_socket_path={folder}/socket",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=60000,grpc.optimization_target=latency",
        "--enable_grpc_healthcheck_service",
        "--rest_api_timeout_in_ms=700",
        "--rest_api_max_request_bytes=100000",
        "--enable_signature_method_name_check",
        "--num_load_threads=2",
        "--flush_filesystem_caches=true",
    )
    with run_server(folder, written, "slow", *flags) as server:
        yield server, folder / "socket"


def over(channel: grpc.Channel, number: str = "F15") -> str:
    """Run a gRPC case over a channel, and return the first error."""
    (found,) = (case for case in CASES if case.id == number)
    return run_case(steps(number, found.steps[0]), Endpoint("", channel))


def secure(server, authority, client=None) -> grpc.Channel:
    key, cert = (client[2], client[3]) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(authority[3], key, cert)
    return grpc.secure_channel(f"{LOOPBACK}:{server.grpc_port}", credentials)


@pytest.mark.parametrize("case", ["K7"])
def test_tls_with_clients_certificates(other, authority, case):
    server, _ = other
    with secure(server, authority, certificate("client", authority)) as channel:
        assert over(channel) == ""
    for stranger in (None, certificate("client", certificate("another authority"))):
        with secure(server, authority, stranger) as channel:
            assert "Received: UNAVAILABLE" in over(channel)
    with server.channel() as plain:
        assert "Received: UNAVAILABLE" in over(plain)
    assert server.json("/v1/models/half_plus_two:predict", ROWS) == (200, {"predictions": [2.5, 3.0]})


@pytest.mark.parametrize("case", ["K10"])
def test_unix_socket(other, case):
    with grpc.insecure_channel(f"unix:{other[1]}") as channel:
        assert over(channel) == ""
        assert over(channel, "F18").startswith("step 1 of 1")  # an error of a missing model: also an answer


@pytest.mark.parametrize("case", ["K8"])
def test_health(other, server, case):
    serving = b"\x08\x01"
    with grpc.insecure_channel(f"unix:{other[1]}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        for name in (b"", b"ModelService", b"PredictionService"):
            request = b"\x0a" + bytes([len(name)]) + name if name else b""
            assert check(request, timeout=10) == serving
        for request in (b"\x0a\x04slow", b"\xff", b"\x0a"):
            with pytest.raises(grpc.RpcError) as caught:
                check(request, timeout=10)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    with server.channel() as channel, pytest.raises(grpc.RpcError) as caught:  # off by default
        channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_watching_health(other):
    """A client is told at once; more than a connection may have at a time leave nothing behind."""
    with grpc.insecure_channel(f"unix:{other[1]}") as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        calls = [watch(request, timeout=60) for request in (b"", b"\x0a\x0cModelService", b"\x0a\x04slow")]
        assert [next(call) for call in calls] == [b"\x08\x01", b"\x08\x01", b"\x08\x03"]
        for _ in range(1100):
            another = watch(b"", timeout=60)
            assert next(another) == b"\x08\x01"
            another.cancel()
        assert calls[0].is_active()
        late = watch(b"", timeout=0.2)
        assert next(late) == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as caught:
            next(late)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        for call in calls:
            call.cancel()
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10) == b"\x08\x01"


@pytest.mark.parametrize("case", ["K9"])
def test_a_call_that_takes_too_long(other, case):
    status, body = other[0].json("/v1/models/slow:predict", ROWS)
    assert status == 504
    assert "Timed out" in body["error"]


@pytest.mark.parametrize("case", ["K5"])
def test_no_metrics(other, case):
    status, body, content_type = other[0].ask("/monitoring/prometheus/metrics")
    assert status == 404
    assert content_type.startswith("text/html")
    assert b"# TYPE" not in body


def test_the_method_of_a_signature_counts_if_asked(other, server):
    body = '{"signature_name":"regress_x_to_y","examples":[{"x":2.0}]}'
    messages = {
        other[0]: "Expected classification signature method_name to be tensorflow/serving/classify. "
        "Was: tensorflow/serving/regress",
        server: 'Expected classification signature outputs to contain at least one of "classes" or "scores".',
    }
    for asked, message in messages.items():
        status, answer = asked.json("/v1/models/half_plus_two:classify", body)
        assert status == 400
        assert message in answer["error"]
        assert asked.json("/v1/models/half_plus_two:regress", body) == (200, {"results": [3.0]})


def test_no_cors(other):
    assert other[0].ask("/v1/models/half_plus_two", method="OPTIONS")[0] == 400


def test_limits_of_bodies(other):
    """A body over the limit is refused, before or after decompression, and the next request is answered."""
    server, _ = other
    large = '{"instances":[' + "1.0," * 30_000 + "1.0]}"
    assert server.ask("/v1/models/half_plus_two:predict", large)[0] == 413
    import gzip
    import urllib.error
    import urllib.request

    def packed(body: bytes) -> int:
        url = f"{server.url}/v1/models/half_plus_two:predict"
        request = urllib.request.Request(url, body, {"Content-Encoding": "gzip"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code

    assert packed(gzip.compress(large.encode())) == 413
    assert packed(gzip.compress(b" " * 99_000 + ROWS.encode())) == 200
    assert packed(b"no gzip") == 400


def test_a_body_that_does_not_arrive(other):
    import socket

    server, _ = other
    with socket.create_connection((LOOPBACK, server.rest), timeout=30) as connection:
        connection.sendall(b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        assert connection.recv(100).startswith(b"HTTP/1.1 504 ")


def test_gzip_of_answers(server):
    import gzip
    import json
    import urllib.request

    url = f"{server.url}/v1/models/half_plus_two:predict"
    body = json.dumps({"instances": [1.0] * 1000}).encode()
    headers = {"Content-Encoding": "gzip", "Accept-Encoding": "br, gzip;q=0.5"}
    request = urllib.request.Request(url, gzip.compress(body), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(response.read())) == {"predictions": [2.5] * 1000}
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30) as response:
        assert response.headers["Content-Encoding"] is None


def inflated(body: bytes, limit: int, ratio: int = 100) -> bytes:
    begin(None)
    return decompressed(body, limit, ratio)


def test_gzip_that_costs_more_than_it_may():
    """Too large, too dense, too many members: refused after little work."""
    zeros = compressed(bytes(2 * FREE))
    assert inflated(zeros, 2 * FREE, 1_000) == bytes(2 * FREE)
    for body, limit, ratio in [
        (zeros, 2 * FREE - 1, 1_000),
        (zeros, 2 * FREE, 100),
        (compressed(b"") * 500_000, 2**31, 100),
        (compressed(bytes(2**26)) * 4, 2**31, 100),
    ]:
        start = time.process_time()
        with pytest.raises(BodyTooLargeError):
            inflated(body, limit, ratio)
        assert time.process_time() - start < 1.0


def test_gzip_that_nobody_waits_for():
    calls: list[int] = []

    def gone() -> bool:
        calls.append(len(calls))
        return len(calls) == 3

    begin(None, gone)
    with pytest.raises(ServingError, match="CANCELLED"):
        decompressed(compressed(bytes(10 * FREE)), 2**31, 10_000)
    assert len(calls) == 3


def test_gzip_for_which_there_is_no_room():
    held = Held(3 * FREE)
    begin(None, share=Share(held))
    with pytest.raises(ServingError, match="RESOURCE_EXHAUSTED"):
        decompressed(compressed(bytes(10 * FREE)), 2**31, 10_000)
    assert 0 < held.bytes <= 3 * FREE
    begin(None)


def test_gzip():
    body = b"x" * MIN_COMPRESSED
    assert inflated(compressed(body), len(body)) == body
    assert inflated(compressed(b"a") + compressed(b"b"), 2) == b"ab"
    assert inflated(compressed(body)[:-9], len(body)) == b""
    large = np.random.default_rng(7).bytes(3_000_000) + bytes(4_000_000)
    assert inflated(compressed(large) + compressed(body), 10**7) == large + body
    wanted = {
        "gzip": True,
        "*": True,
        "gzip;q=0": False,
        "gzip; q=0.00": False,
        "gzip;q=0.1": True,
        "br": False,
        "": False,
    }
    assert {header: accepts_gzip(header) for header in wanted} == wanted

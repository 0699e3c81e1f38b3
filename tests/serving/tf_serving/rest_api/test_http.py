"""HTTP itself, byte by byte: what clients and proxies may send, and what nobody should."""

from __future__ import annotations

import gzip
import json
import math
import socket
import zlib

import psutil
import pytest

from serving.launch import LOOPBACK
from tests.patience import wait_for

PREDICT = "/v1/models/half_plus_two:predict"
STATUS = "/v1/models/half_plus_two"
BODY = b'{"instances":[2.0]}'
RIGHT = {"predictions": [3.0]}
CHUNKED = "Transfer-Encoding: chunked\r\n"


def request(body: bytes = BODY, head: str = "", path: str = PREDICT, verb: str = "POST", version: str = "1.1") -> bytes:
    """One request, after which the connection is to be closed."""
    length = "" if "ransfer-" in head or "ontent-Length" in head else f"Content-Length: {len(body)}\r\n"
    first = f"{verb} {path} HTTP/{version}\r\nHost: a\r\nConnection: close\r\n{length}{head}\r\n"
    return first.encode("latin-1") + body


def chunks(*parts: bytes, trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


def exchange(port: int, *parts: bytes, shut: bool = False) -> tuple[int, str, bytes]:
    """Status, content type and body of the answer; ``parts`` go out one after the other."""
    with socket.create_connection((LOOPBACK, port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as file:
            return answer_of(file.read())


def answer_of(text: bytes) -> tuple[int, str, bytes]:
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers["Content-Type"], body


@pytest.mark.parametrize(
    "parts",
    [
        (request(version="1.0"),),
        (request(head=CHUNKED, body=chunks(BODY[:7], BODY[7:])),),
        (request(head=CHUNKED, body=chunks(BODY, trailer=b"X-Sum: 1\r\n")),),
        (request(path=f"http://a:1{PREDICT}"),),
        (b"\r\n" + request(),),
        (request(head="X-Long: " + "a" * 20_000 + "\r\n"),),
        (request(head="Content-Type: ;;;=\r\n"),),
        (request(head="Content-Type: text/plain; charset=none\r\n"),),
        (request(path="/v1/models/half%5Fplus%5ftwo/versions/000123:predict"),),
        (request(gzip.compress(BODY, mtime=0), "Content-Encoding: x-gzip\r\n"),),
        (request(gzip.compress(BODY[:5], mtime=0) + gzip.compress(BODY[5:], mtime=0), "Content-Encoding: gzip\r\n"),),
        (request(head=f"{CHUNKED}Content-Encoding: gzip\r\n", body=chunks(gzip.compress(BODY, mtime=0))),),
        tuple(request()[index : index + 1] for index in range(len(request()))),
    ],
    ids=lambda parts: repr(parts[0][-60:]) if len(parts) == 1 else "byte by byte",
)
def test_unusual_and_right(server, parts):
    status, content_type, body = exchange(server.rest, *parts)
    assert (status, content_type, json.loads(body)) == (200, "application/json", RIGHT)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(head="Content-Length: -1\r\n"), 400),
        (request(head="Content-Length: 1" + "0" * 40 + "\r\n"), 400),
        (request(head="Content-Length: 19\r\nContent-Length: 5\r\n"), 400),
        (request(head=f"Content-Length: 3\r\n{CHUNKED}", body=chunks(BODY)), 400),
        (request(head=f"{CHUNKED}{CHUNKED}", body=chunks(BODY)), 400),
        (request(head="Transfer-Encoding: gzip\r\n"), 501),
        (request(head="Transfer-Encoding: gzip, chunked\r\n", body=chunks(BODY)), 501),
        (request(head="Transfer-Encoding: identity\r\n"), 501),
        (f"GET {STATUS}\r\n\r\n".encode(), 400),
        (f"GET {STATUS}\r\nHost: a\r\n\r\n".encode(), 400),
        (request(version="0.9"), 400),
        (request(version="2.0"), 400),
        (request(version="2.0", head="Connection: Upgrade\r\nUpgrade: h2c\r\n"), 400),
        (request(head="X: a\r\n" * 11_000), 400),
        (request(head=CHUNKED, body=b"1;" + b"a" * 400_000), 400),
        (request(head=CHUNKED, body=chunks(BODY, trailer=b"X: " + b"a" * 400_000)), 400),
        (request(head="Host: b\r\n"), 400),
        (request(head="X y: 1\r\n"), 400),
        (request(head="X: a\0b\r\n"), 400),
        (request(head="X-Long: " + "a" * 80_000 + "\r\n"), 400),
        (request(path="/v1/models/\xe9:predict"), 400),
        (request(path="/v1/models/a%zz:predict"), 400),
        (request(path="/v1/models/a%2:predict"), 400),
        (request(verb="BREW"), 400),
        (request(verb="TRACE"), 501),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (request(head="Expect: 200-ok\r\n"), 417),
        (request(path=f"/{PREDICT}"), 404),
    ],
    ids=lambda value: repr(value[:90]) if isinstance(value, bytes) else None,
)
def test_refused_with_a_page_that_repeats_nothing(server, sent, status):
    received, content_type, body = exchange(server.rest, sent)
    assert (received, content_type) == (status, "text/html")
    assert body.startswith(b"<html><head><title>")
    assert b"half_plus_two" not in body
    assert b"aaa" not in body


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (PREDICT, b"", 400, "JSON Parse error: The document is empty."),
        (PREDICT, b"  ", 400, "JSON Parse error: The document is empty."),
        (PREDICT, '{"instances":[1]}'.encode("utf-16"), 400, "JSON Parse error: Invalid value. at offset: 0"),
        (PREDICT, b'{"instances":[nan]}', 400, "JSON Parse error: Invalid value. at offset: 14"),
        (PREDICT, b'{"signature_name":"\xff","instances":[1]}', 400, 'Serving signature name: "\udcff" not found'),
        (f"{STATUS}/versions/-1:predict", BODY, 400, "Malformed request: POST "),
        (f"{STATUS}/versions/:predict", BODY, 400, "Malformed request: POST "),
        (f"{PREDICT}#x", BODY, 400, "Malformed request: POST "),
        ("/v1/models/half_plus_two%3Apredict", BODY, 400, "Malformed request: POST "),
        (f"{STATUS}/versions/{2**63 - 1}:predict", BODY, 404, f"Specific(half_plus_two, {2**63 - 1})"),
        ("/v1/models/%C3%A9%2F:predict", BODY, 404, "Servable not found for request: Latest(é/)"),
        ("/v1/models/" + "a" * 20_000 + ":predict", BODY, 404, "Servable not found for request: Latest(aaaa"),
        (f"{STATUS}/labels/%FF:predict", BODY, 400, "Unrecognized servable version label: \ufffd"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes | str) else None,
)
def test_refused_in_json(server, path, body, status, message):
    received, content_type, answer = exchange(server.rest, request(body, path=path))
    assert (received, content_type) == (status, "application/json")
    document = json.loads(answer.decode("utf-8", "surrogateescape"))
    assert set(document) == {"error"}
    assert message in document["error"]


@pytest.mark.parametrize("version", [2**63, 10**60, int("9" * 4000) * 10**4000], ids=["2^63", "10^60", "8,000 digits"])
@pytest.mark.parametrize("rest", [":predict", ":classify", "", "/metadata"])
def test_a_version_beyond_64_bits_has_an_empty_answer(server, version, rest):
    digits = str(version) if version < 10**100 else "9" * 8000
    verb = "POST" if rest.startswith(":") else "GET"
    sent = request(path=f"{STATUS}/versions/{digits}{rest}", verb=verb)
    assert exchange(server.rest, sent) == (400, "application/json", b"")


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(BODY, mtime=0)[:-5],
        gzip.compress(BODY, mtime=0)[:-8] + bytes(8),
        BODY,
        b"",
        gzip.compress(b"", mtime=0),
    ],
    ids=["truncated", "wrong checksum", "not compressed", "nothing", "nothing, compressed"],
)
def test_gzip_that_is_none(server, body):
    status, _, answer = exchange(server.rest, request(body, "Content-Encoding: gzip\r\n"))
    assert (status, json.loads(answer)) == (400, {"error": "JSON Parse error: The document is empty."})


def test_other_codings_are_not_known(server):
    """tensorflow/serving looks for gzip in Content-Encoding, and takes the body as it is else."""
    status, _, answer = exchange(server.rest, request(zlib.compress(BODY), "Content-Encoding: deflate\r\n"))
    assert (status, "JSON Parse error" in json.loads(answer)["error"]) == (400, True)
    assert exchange(server.rest, request(BODY, "Content-Encoding: br\r\n"))[0] == 200


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ('{"instances":[2.0],"instances":[4.0]}', {"predictions": [3.0]}),
        ('{"inputs":{"x":1.0,"x":NaN},"a":1,"a":2}', {"outputs": 2.5}),
        ('{"instances":[Inf,-Inf,Infinity]}', {"predictions": [math.inf, -math.inf, math.inf]}),
    ],
    ids=["first of two keys", "first of two names", "Inf"],
)
def test_odd_json(server, body, answer):
    assert server.json(PREDICT, body) == (200, answer)


def test_the_first_of_two_signature_names_counts(server):
    status, body = server.json(PREDICT, '{"signature_name":5,"signature_name":"serving_default","instances":[1]}')
    assert (status, "'signature_name' key must be a string value." in body["error"]) == (400, True)


def test_requests_one_behind_the_other(server):
    one = request().replace(b"Connection: close\r\n", b"")
    with socket.create_connection((LOOPBACK, server.rest), timeout=30) as connection:
        connection.sendall(one * 50 + request())
        with connection.makefile("rb") as file:
            text = file.read()
    assert text.count(b"HTTP/1.1 200 OK") == text.count(b'{"predictions":[3.0]}') == 51


def test_an_upgrade_that_is_declined(server):
    """Java's client offers HTTP/2 with its first request, and goes on where the server stays with HTTP/1.1."""
    offer = request().replace(b"Connection: close", b"Connection: Upgrade\r\nUpgrade: h2c")
    with socket.create_connection((LOOPBACK, server.rest), timeout=30) as connection:
        connection.sendall(offer)
        first = connection.recv(65536)
        connection.sendall(request())
        with connection.makefile("rb") as file:
            second = file.read()
    assert (answer_of(first)[2], answer_of(second)[2]) == (b'{"predictions":[3.0]}',) * 2


@pytest.mark.parametrize("count", [1, 3])
def test_a_half_closed_connection_gets_its_answers(server, count):
    one = request().replace(b"Connection: close\r\n", b"")
    with socket.create_connection((LOOPBACK, server.rest), timeout=30) as connection:
        connection.sendall(one * count)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as file:
            text = file.read()  # ends: the server closes after the last answer
    assert text.count(b'{"predictions":[3.0]}') == count


@pytest.mark.parametrize("body", [b" " * 7_000_000, BODY], ids=["large", "small"])
def test_a_client_that_leaves_with_its_answer_leaves_nothing_behind(server, body):
    """It did, where its end came in the one turn of the event loop between an answer and the wait for what is next."""
    process = psutil.Process(server.process.pid)
    before = process.num_fds()
    text = request(body).replace(b"Connection: close\r\n", b"")
    for _ in range(20):
        with socket.create_connection((LOOPBACK, server.rest), timeout=30) as connection:
            connection.sendall(text)
            connection.recv(65536)
    wait_for(lambda: process.num_fds() <= before)  # one look is not enough: the server opens folders of models, too


@pytest.mark.parametrize("sent", [b"", b"POST ", request()[:-5], request(head=CHUNKED, body=b"5\r\nab")])
def test_a_half_closed_connection_with_half_a_request_is_closed(server, sent):
    with socket.create_connection((LOOPBACK, server.rest), timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536) == b""


def test_a_chunk_that_is_none_after_one_that_is(server):
    with socket.create_connection((LOOPBACK, server.rest), timeout=30) as connection:
        connection.sendall(request(head=CHUNKED, body=b"5\r\n" + BODY[:5] + b"\r\n"))
        _ = server.json(STATUS)  # the first part is being read by then
        connection.sendall(b"zz\r\n")
        with connection.makefile("rb") as file:
            status, content_type, _ = answer_of(file.read())
    assert (status, content_type) == (400, "text/html")
    assert "Traceback" not in server.process.log.read_text()

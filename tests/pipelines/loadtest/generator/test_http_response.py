from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.errors import UserError
from pipelines.loadtest.generator.http import request_bytes
from pipelines.loadtest.generator.http_response import MAX_BODY, MAX_HEAD, BadResponseError, ResponseReader
from pipelines.loadtest.generator.transport import check_call
from pipelines.loadtest.request import UrlCall, complete
from serving.clients import Call

CASES = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True),
    (b"HTTP/1.1 200 OK\r\ncontent-length:5\r\nConnection: Close\r\n\r\nhello", 200, b"hello", False),
    (b"HTTP/1.0 200 OK\r\ncontent-length:5\r\n\r\nhello", 200, b"hello", False),
    (b"HTTP/1.0 200 OK\r\ncontent-length:5\r\nconnection: keep-alive\r\n\r\nhello", 200, b"hello", True),
    (b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, b"", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
    (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\nHTTP/1.1 102 Wait\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        200,
        b"ok",
        True,
    ),
    (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"Content-Length: 2\r\n\r\nok", 200, b"ok", True),
    (
        b"HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade, Keep-Alive\r\nContent-Length: 5\r\n\r\nhello",
        200,
        b"hello",
        True,
    ),
    (
        b"HTTP/1.1 503 Busy\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        503,
        b"x",
        False,
    ),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhel\r\n\r\nB\r\n0123456789\n\r\n0\r\n\r\n",
        200,
        b"hel\r\n0123456789\n",
        True,
    ),
    (
        b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        503,
        b"x",
        True,
    ),
]


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(at)]


@given(st.sampled_from(CASES), st.lists(st.integers(0, 10_000), max_size=12))
def test_a_response_is_read_wherever_it_is_cut(case: tuple[bytes, int, bytes, bool], cuts: list[int]) -> None:
    data, status, body, reusable = case
    reader = ResponseReader()
    for _ in range(2):  # and again, on the same connection
        pieces = split(data, cuts)
        assert [reader.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert (reader.status, reader.body, reader.reusable) == (status, body, reusable)
        reader.reset()


@given(st.binary(max_size=300), st.lists(st.integers(1, 50), max_size=10), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_body_in_any_chunks(body: bytes, sizes: list[int], cuts: list[int]) -> None:
    data, rest = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", body
    for size in [*sizes, len(body) or 1]:
        piece, rest = rest[:size], rest[size:]
        data += b"%X\r\n%s\r\n" % (len(piece), piece) if piece else b""
    data += b"0\r\n\r\n"
    reader = ResponseReader()
    assert [reader.feed(piece) for piece in split(data, cuts)][-1]
    assert reader.body == body


@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_without_a_length_the_end_of_the_stream_completes_it(cuts: list[int]) -> None:
    reader = ResponseReader()
    assert not any(reader.feed(piece) for piece in split(b"HTTP/1.1 200 OK\r\n\r\nall of it", cuts))
    assert reader.end_of_stream()
    assert (reader.body, reader.reusable) == (b"all of it", False)


@pytest.mark.parametrize("case", CASES)
def test_a_response_cut_short_is_not_complete(case: tuple[bytes, int, bytes, bool]) -> None:
    data = case[0]
    for length in range(len(data)):
        reader = ResponseReader()
        assert not reader.feed(data[:length])
        assert not reader.end_of_stream()


def test_bytes_after_a_response_make_the_connection_unusable() -> None:
    for data, *_ in CASES:
        reader = ResponseReader()
        assert reader.feed(data + b"?")
        assert not reader.reusable


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"x" * (MAX_HEAD + 1),
    ],
)
def test_what_is_no_response_is_refused(data: bytes) -> None:
    with pytest.raises(BadResponseError):
        ResponseReader().feed(data)


HEADERS = b"A: b\r\n" * (MAX_HEAD // 6 + 1)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD,
        b"HTTP/1.1 200 OK\r\n" + HEADERS + b"Content-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD // 25 + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * MAX_HEAD * 2,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + HEADERS * 6,
    ],
    ids=["a header", "all headers", "interim responses", "a chunk's line", "a trailer"],
)
@pytest.mark.parametrize("step", [1000, 2**18])
def test_what_is_not_the_body_is_bounded(data: bytes, step: int) -> None:
    feed = ResponseReader().feed
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    with pytest.raises(BadResponseError, match="65,536 bytes"):
        any(feed(piece) for piece in pieces)


@pytest.mark.parametrize(
    "head", [b"\r\n", b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n"], ids=["to the end", "chunked"]
)
def test_a_body_is_bounded_as_it_comes(head: bytes) -> None:
    reader, piece = ResponseReader(), bytes(2**20)
    reader.feed(b"HTTP/1.1 200 OK\r\n" + head)
    for _ in range(MAX_BODY // len(piece)):
        assert not reader.feed(piece)
    with pytest.raises(BadResponseError, match="larger than 268,435,456 bytes"):
        reader.feed(bytes(MAX_HEAD))


def test_a_request_is_framed() -> None:
    call = Call("http://127.0.0.1:80", "/v1/x:predict", {"Content-Type": "a/b", "content-length": "9"})
    head, _, body = request_bytes(complete(call), b"\r\n\r\nbody").partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /v1/x:predict HTTP/1.1"
    assert lines == ["Host: 127.0.0.1:80", "Content-Type: a/b", "Content-Length: 8"]
    assert body == b"\r\n\r\nbody"


def test_every_field_is_sent_and_the_users_content_type_wins() -> None:
    call = UrlCall("http://h:1", "/x", method="GET", fields=(("A", "1"), ("A", "2")), authority="host:1")
    assert request_bytes(call, b"") == b"GET /x HTTP/1.1\r\nHost: host:1\r\nA: 1\r\nA: 2\r\n\r\n"
    put = UrlCall("http://h:1", "/x", method="PUT", fields=(("host", "other"),), authority="host:1")
    assert request_bytes(put, b"", "a/b") == (
        b"PUT /x HTTP/1.1\r\nHost: other\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n"
    )
    own = UrlCall("http://h:1", "/x", fields=(("content-TYPE", "c/d"),), authority="host:1")
    assert b"\r\ncontent-TYPE: c/d\r\nContent-Length: 1" in request_bytes(own, b"x", "a/b")
    assert b"a/b" not in request_bytes(own, b"x", "a/b")


def test_the_answer_to_head_ends_with_its_head() -> None:
    reader = ResponseReader(with_bodies=False)
    for status in (200, 404):
        assert not reader.feed(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        assert reader.feed(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n" % (status, 2 * MAX_BODY))
        assert (reader.status, reader.body, reader.reusable) == (status, b"", True)
        reader.reset()


@pytest.mark.parametrize(
    "call",
    [
        UrlCall("http://h:1", "/x", method="GET /y"),
        UrlCall("http://h:1", "/x", method="CONNECT"),
        UrlCall("http://h:1", "/x", content_types=("a\r\nb: c",)),
        Call("http://h:1", "/x", {"A": "secret\r\nC: d"}),
        Call("http://h:1", "/x", {"A b": "secret"}),
        Call("http://h:1", "/x", {"": "secret"}),
        Call("http://h:1", "/x y"),
        Call("http://h:1", "/x\r\nA: b"),
        Call("http://h:1", "x"),
    ],
)
def test_a_request_cannot_be_split(call: Call) -> None:
    with pytest.raises(UserError, match="not a ") as caught:
        check_call(complete(call))
    assert "secret" not in str(caught.value)

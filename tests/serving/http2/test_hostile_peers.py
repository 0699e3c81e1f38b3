"""Errors of a client end its stream or connection (RFC 9113, sections 4 to 6, RFC 7541), and harm no other client."""

from __future__ import annotations

import struct
import time
import zlib
from urllib.parse import unquote

import psutil
import pytest
from hpack import Decoder, Encoder
from hyperframe import frame as hf

from serving.http2 import budget, connection, frames, server_connection
from serving.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    settings,
    window_update,
)
from serving.http2.grpc_messages import prefix
from serving.http2.header_blocks import plain_block
from serving.limits import Held

REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/t.T/Echo"),
    (b"content-type", b"application/grpc"),
]
BLOCK = plain_block(REQUEST)
WAITS = plain_block([*REQUEST[:2], (b":path", b"/t.T/Wait"), REQUEST[3]])
OPEN = frame(HEADERS, END_HEADERS, 1, BLOCK)
BODY = prefix(2) + b"hi"
DONE = OPEN + frame(DATA, END_STREAM, 1, BODY)
HALF_CLOSED = frame(HEADERS, END_HEADERS, 1, WAITS) + frame(DATA, END_STREAM, 1, BODY)
RESET = frame(RST_STREAM, 0, 1, struct.pack(">L", 8))


def with_fields(*more: tuple[bytes, bytes], without: bytes = b"", stream: int = 1) -> bytes:
    kept = [field for field in REQUEST if field[0] != without]
    return frame(HEADERS, END_HEADERS, stream, plain_block([*kept, *more]))


def setting(name: int, value: int) -> bytes:
    return settings({name: value})


MISTAKES = {
    # 3.4, 4.1, 4.2
    "a frame over the limit": (OPEN + frames.head(DATA, 0, 1, 2**20 + 1), "connection FRAME_SIZE_ERROR"),
    "an oversized frame of an unknown type": (frames.head(0xEE, 0, 0, 2**24 - 1), "connection FRAME_SIZE_ERROR"),
    # 4.3: blocks
    "a block that is no HPACK": (
        frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
        "connection COMPRESSION_ERROR",
    ),
    "index 0": (frame(HEADERS, END_HEADERS, 1, b"\x80"), "connection COMPRESSION_ERROR"),
    "an index beyond the table": (frame(HEADERS, END_HEADERS, 1, b"\xfe"), "connection COMPRESSION_ERROR"),
    "a literal cut short": (frame(HEADERS, END_HEADERS, 1, BLOCK[:-1]), "connection COMPRESSION_ERROR"),
    "Huffman padding of zeros": (frame(HEADERS, END_HEADERS, 1, b"\x00\x81\x00\x01a"), "connection COMPRESSION_ERROR"),
    "a table over the limit": (frame(HEADERS, END_HEADERS, 1, b"\x3f\xe2\x1f" + BLOCK), "connection COMPRESSION_ERROR"),
    "a table resized in the midst": (frame(HEADERS, END_HEADERS, 1, BLOCK + b"\x20"), "connection COMPRESSION_ERROR"),
    "a table resized for ever": (frame(HEADERS, END_HEADERS, 1, b"\x20" * 60_000), "connection COMPRESSION_ERROR"),
    "a broken block on a stream that is over": (
        HALF_CLOSED + frame(HEADERS, END_HEADERS, 1, b"\x80"),
        "connection COMPRESSION_ERROR",
    ),
    "a block too large": (frame(HEADERS, END_HEADERS, 1, b"\x00" * 70_000), "connection ENHANCE_YOUR_CALM"),
    "fields too large": (frame(HEADERS, END_HEADERS, 1, BLOCK + b"\x82" * 3000), "connection ENHANCE_YOUR_CALM"),
    # 5.1: states
    "DATA on an idle stream": (frame(DATA, 0, 1, b"x"), "connection PROTOCOL_ERROR"),
    "RST_STREAM on an idle stream": (RESET, "connection PROTOCOL_ERROR"),
    "WINDOW_UPDATE on an idle stream": (window_update(1, 1), "connection PROTOCOL_ERROR"),
    "DATA after END_STREAM": (HALF_CLOSED + frame(DATA, 0, 1, b"x"), "stream STREAM_CLOSED"),
    "HEADERS after END_STREAM": (HALF_CLOSED + OPEN, "stream STREAM_CLOSED"),
    "DATA on a closed stream": (HALF_CLOSED + RESET + frame(DATA, 0, 1, b"x"), "connection STREAM_CLOSED"),
    "HEADERS on a closed stream": (HALF_CLOSED + RESET + OPEN, "connection PROTOCOL_ERROR"),
    # 5.1.1: numbers
    "an even stream": (frame(HEADERS, END_HEADERS, 2, BLOCK), "connection PROTOCOL_ERROR"),
    "streams that go backwards": (
        frame(HEADERS, END_HEADERS, 5, WAITS) + frame(HEADERS, END_HEADERS, 3, WAITS),
        "connection PROTOCOL_ERROR",
    ),
    # 6.1 DATA
    "DATA on stream 0": (frame(DATA, 0, 0, b"x"), "connection PROTOCOL_ERROR"),
    "DATA with more padding than bytes": (OPEN + frame(DATA, PADDED, 1, b"\x05abcd"), "connection PROTOCOL_ERROR"),
    "DATA with padding in no bytes": (OPEN + frame(DATA, PADDED, 1, b""), "connection PROTOCOL_ERROR"),
    # 6.2 HEADERS
    "HEADERS on stream 0": (frame(HEADERS, END_HEADERS, 0, BLOCK), "connection PROTOCOL_ERROR"),
    "HEADERS with more padding than bytes": (
        frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + BLOCK[:20]),
        "connection PROTOCOL_ERROR",
    ),
    "HEADERS too short for a priority": (
        frame(HEADERS, END_HEADERS | HAS_PRIORITY, 1, b"abc"),
        "connection FRAME_SIZE_ERROR",
    ),
    "HEADERS whose padding eats the priority": (
        frame(HEADERS, END_HEADERS | HAS_PRIORITY | PADDED, 1, b"\x03abcdef"),
        "connection PROTOCOL_ERROR",
    ),
    # 6.3 PRIORITY
    "PRIORITY on stream 0": (frame(PRIORITY, 0, 0, bytes(5)), "connection PROTOCOL_ERROR"),
    "PRIORITY of 4 bytes": (OPEN + frame(PRIORITY, 0, 1, bytes(4)), "stream FRAME_SIZE_ERROR"),
    # 6.4 RST_STREAM
    "RST_STREAM on stream 0": (frame(RST_STREAM, 0, 0, bytes(4)), "connection PROTOCOL_ERROR"),
    "RST_STREAM of 3 bytes": (OPEN + frame(RST_STREAM, 0, 1, bytes(3)), "connection FRAME_SIZE_ERROR"),
    # 6.5 SETTINGS
    "SETTINGS on a stream": (frame(SETTINGS, 0, 1), "connection PROTOCOL_ERROR"),
    "SETTINGS of 5 bytes": (frame(SETTINGS, 0, 0, bytes(5)), "connection FRAME_SIZE_ERROR"),
    "an acknowledgement with content": (frame(SETTINGS, ACK, 0, bytes(6)), "connection FRAME_SIZE_ERROR"),
    "too many settings": (frame(SETTINGS, 0, 0, bytes(6) * 1000), "connection ENHANCE_YOUR_CALM"),
    "ENABLE_PUSH 2": (setting(2, 2), "connection PROTOCOL_ERROR"),
    "an initial window of 2**31": (setting(4, 2**31), "connection FLOW_CONTROL_ERROR"),
    "frames of 16383": (setting(5, 16383), "connection PROTOCOL_ERROR"),
    "frames of 2**24": (setting(5, 2**24), "connection PROTOCOL_ERROR"),
    # 6.6 to 6.8
    "PUSH_PROMISE": (
        OPEN + frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">L", 2) + BLOCK),
        "connection PROTOCOL_ERROR",
    ),
    "PING on a stream": (frame(PING, 0, 1, bytes(8)), "connection PROTOCOL_ERROR"),
    "PING of 7 bytes": (frame(PING, 0, 0, bytes(7)), "connection FRAME_SIZE_ERROR"),
    "GOAWAY on a stream": (frame(GOAWAY, 0, 1, bytes(8)), "connection PROTOCOL_ERROR"),
    "GOAWAY of 7 bytes": (frame(GOAWAY, 0, 0, bytes(7)), "connection FRAME_SIZE_ERROR"),
    # 6.9 WINDOW_UPDATE
    "WINDOW_UPDATE of 3 bytes": (frame(WINDOW_UPDATE, 0, 0, bytes(3)), "connection FRAME_SIZE_ERROR"),
    "nothing more for the connection": (window_update(0, 0), "connection PROTOCOL_ERROR"),
    "nothing more for a stream": (OPEN + window_update(1, 0), "stream PROTOCOL_ERROR"),
    "the connection's window overflows": (window_update(0, 2**31 - 1), "connection FLOW_CONTROL_ERROR"),
    "a stream's window overflows": (OPEN + window_update(1, 2**31 - 1), "stream FLOW_CONTROL_ERROR"),
    "a stream's window overflows by settings": (
        OPEN + window_update(1, 2**30) + setting(INITIAL_WINDOW_SIZE, 2**30),
        "connection FLOW_CONTROL_ERROR",
    ),
    # 6.10 CONTINUATION
    "CONTINUATION of nothing": (frame(CONTINUATION, END_HEADERS, 1, BLOCK), "connection PROTOCOL_ERROR"),
    "CONTINUATION of another stream": (
        frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, END_HEADERS, 3),
        "connection PROTOCOL_ERROR",
    ),
    "DATA within a block": (frame(HEADERS, 0, 1, BLOCK) + frame(DATA, 0, 1), "connection PROTOCOL_ERROR"),
    "an unknown type within a block": (frame(HEADERS, 0, 1, BLOCK) + frame(0xEE, 0, 1), "connection PROTOCOL_ERROR"),
    "CONTINUATION for ever": (frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) * 2000, "connection ENHANCE_YOUR_CALM"),
    "CONTINUATION of too many bytes": (
        frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1, bytes(16384)) * 5,
        "connection ENHANCE_YOUR_CALM",
    ),
    # 8.1 to 8.3: requests
    "no :path": (with_fields(without=b":path"), "stream PROTOCOL_ERROR"),
    "no :method": (with_fields(without=b":method"), "stream PROTOCOL_ERROR"),
    "no :scheme": (with_fields(without=b":scheme"), "stream PROTOCOL_ERROR"),
    "an empty :path": (
        frame(HEADERS, END_HEADERS, 1, plain_block([*REQUEST[:2], (b":path", b"")])),
        "stream PROTOCOL_ERROR",
    ),
    ":path twice": (
        frame(HEADERS, END_HEADERS, 1, plain_block([*REQUEST[:3], REQUEST[2], REQUEST[3]])),
        "stream PROTOCOL_ERROR",
    ),
    "a pseudo-header field of answers": (
        frame(HEADERS, END_HEADERS, 1, plain_block([(b":status", b"200"), *REQUEST])),
        "stream PROTOCOL_ERROR",
    ),
    "a pseudo-header field at the end": (with_fields((b":authority", b"a")), "stream PROTOCOL_ERROR"),
    "connection": (with_fields((b"connection", b"close")), "stream PROTOCOL_ERROR"),
    "transfer-encoding": (with_fields((b"transfer-encoding", b"chunked")), "stream PROTOCOL_ERROR"),
    "te: gzip": (with_fields((b"te", b"gzip")), "stream PROTOCOL_ERROR"),
    "an upper-case name": (with_fields((b"Name", b"x")), "stream PROTOCOL_ERROR"),
    "an empty name": (with_fields((b"", b"x")), "stream PROTOCOL_ERROR"),
    "a line break in a value": (with_fields((b"name", b"x\r\ny: z")), "stream PROTOCOL_ERROR"),
    "a blank before a value": (with_fields((b"name", b" x")), "stream PROTOCOL_ERROR"),
    "a content-length that is none": (with_fields((b"content-length", b"-1")), "stream PROTOCOL_ERROR"),
    "a body longer than content-length": (
        with_fields((b"content-length", b"6")) + frame(DATA, END_STREAM, 1, BODY),
        "stream PROTOCOL_ERROR",
    ),
    "a body shorter than content-length": (
        with_fields((b"content-length", b"8")) + frame(DATA, END_STREAM, 1, BODY),
        "stream PROTOCOL_ERROR",
    ),
    "trailing fields without the end": (
        OPEN + frame(HEADERS, END_HEADERS, 1, plain_block([(b"a", b"b")])),
        "stream PROTOCOL_ERROR",
    ),
    "trailing pseudo-header fields": (
        OPEN + frame(HEADERS, END_HEADERS | END_STREAM, 1, BLOCK),
        "stream PROTOCOL_ERROR",
    ),
    # not mistakes
    "an unknown type": (frame(0xEE, 0xFF, 77, b"anything") + DONE, "answered"),
    "an unknown setting": (setting(0x99, 1) + DONE, "answered"),
    "PRIORITY of an idle stream": (frame(PRIORITY, 0, 9, bytes(5)) + DONE, "answered"),
    "the reserved bit of a stream": (
        frame(HEADERS, END_HEADERS, 1 | 1 << 31, BLOCK) + frame(DATA, END_STREAM, 1, BODY),
        "answered",
    ),
    "padding and a priority": (
        frame(HEADERS, END_HEADERS | PADDED | HAS_PRIORITY, 1, b"\x02" + bytes(5) + BLOCK + bytes(2))
        + frame(DATA, END_STREAM | PADDED, 1, b"\x03" + BODY + bytes(3)),
        "answered",
    ),
    "a block in single bytes": (
        frame(HEADERS, 0, 1)
        + b"".join(frame(CONTINUATION, 0, 1, BLOCK[i : i + 1]) for i in range(len(BLOCK)))
        + frame(CONTINUATION, END_HEADERS, 1)
        + frame(DATA, END_STREAM, 1, BODY),
        "answered",
    ),
    "trailing fields": (
        OPEN + frame(DATA, 0, 1, BODY) + frame(HEADERS, END_HEADERS | END_STREAM, 1, plain_block([(b"a", b"b")])),
        "answered",
    ),
    "a table of size 0": (
        frame(HEADERS, END_HEADERS, 1, b"\x20" + BLOCK) + frame(DATA, END_STREAM, 1, BODY),
        "answered",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(unharmed, tools, name):
    sent, wanted = MISTAKES[name]
    with tools.Peer(unharmed.port) as peer:
        peer.send(sent)
        assert peer.error() == wanted
        if not wanted.startswith("connection"):  # the other streams go on
            peer.send(tools.request(11))
            peer.wait_for(hf.DataFrame, 11)


@pytest.mark.parametrize(
    ("hello", "wanted"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "connection PROTOCOL_ERROR"),
        (PREFACE[:-1] + b"x", "connection PROTOCOL_ERROR"),
        (PREFACE + frame(PING, 0, 0, bytes(8)), "connection PROTOCOL_ERROR"),
        (PREFACE + frame(SETTINGS, ACK, 0), "connection PROTOCOL_ERROR"),
        (PREFACE + DONE, "connection PROTOCOL_ERROR"),
        (bytes(100_000), "connection PROTOCOL_ERROR"),
    ],
)
def test_no_preface(unharmed, tools, hello, wanted):
    with tools.Peer(unharmed.port, hello) as peer:
        assert peer.error() == wanted


def test_single_bytes(unharmed, tools):
    with tools.Peer(unharmed.port, b"") as peer:
        for byte in PREFACE + settings({}) + DONE:
            peer.send(bytes([byte]))
        assert peer.wait_for(hf.DataFrame).data == BODY


@pytest.mark.parametrize("hello", [b"", PREFACE, PREFACE + settings({})[:5]])
def test_whoever_says_nothing_is_hung_up_on(unharmed, tools, monkeypatch, hello):
    monkeypatch.setattr(server_connection, "PREFACE_S", 0.2)
    with tools.Peer(unharmed.port, hello) as peer:
        assert peer.error() == "connection SETTINGS_TIMEOUT"


def test_whoever_does_not_hang_up_is_cut_off(unharmed, tools, monkeypatch):
    monkeypatch.setattr(connection, "LINGER_S", 0.1)
    with tools.Peer(unharmed.port, b"x") as peer:
        assert peer.error() == "connection PROTOCOL_ERROR"
        tools.until(lambda: not unharmed.alive)


FLOODS = {
    "SETTINGS": (settings({}), "connection ENHANCE_YOUR_CALM"),
    "acknowledgements": (frame(SETTINGS, ACK, 0), "connection ENHANCE_YOUR_CALM"),
    "PING": (frame(PING, 0, 0, bytes(8)), "connection ENHANCE_YOUR_CALM"),
    "PRIORITY": (frame(PRIORITY, 0, 1, bytes(5)), "connection ENHANCE_YOUR_CALM"),
    "unknown types": (frame(0xEE, 0, 0), "connection ENHANCE_YOUR_CALM"),
    "empty DATA": (frame(DATA, 0, 1), "connection ENHANCE_YOUR_CALM"),
    "GOAWAY": (frame(GOAWAY, 0, 0, bytes(8)), "connection ENHANCE_YOUR_CALM"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods(unharmed, tools, name):
    flood, wanted = FLOODS[name]
    with tools.Peer(unharmed.port) as peer:
        peer.send(OPEN + flood * 10_100)
        assert peer.error() == wanted
    with tools.Peer(unharmed.port) as peer:
        peer.send(OPEN + flood * 9_900)
        assert peer.is_alive()


def test_a_flood_is_counted_by_the_minute(unharmed, tools, monkeypatch):
    monkeypatch.setattr(budget, "PERIOD_S", 0.0)
    with tools.Peer(unharmed.port) as peer:
        peer.send(FLOODS["PING"][0] * 10_100)
        assert peer.is_alive()


def test_rapid_reset(unharmed, tools):
    """CVE-2023-44487: a started call counts until it ends, even if the client has cancelled it."""
    limit = unharmed.rules.max_streams
    with tools.Peer(unharmed.port) as peer:
        for first in range(1, 4 * limit, 200):
            peer.send(
                b"".join(
                    tools.request(stream, b"", "/t.T/Wait") + frame(RST_STREAM, 0, stream, struct.pack(">L", 8))
                    for stream in range(first, first + 200, 2)
                )
            )
        assert peer.error() == "stream REFUSED_STREAM"
        assert len(unharmed.begun) == limit
        assert unharmed.state()[0]["running"] == limit
        assert unharmed.state()[0]["calls"] == 0
        unharmed.ask(lambda: [call.answer(b"") for call in unharmed.begun])
        unharmed.begun.clear()
        assert unharmed.is_at_rest()
        peer.send(tools.request(99_999))
        peer.wait_for(hf.DataFrame, 99_999)


def test_hpack_bomb(unharmed, tools):
    """One block refers many times to a large entry of the table."""
    encoder = Encoder()
    block = encoder.encode([*REQUEST, (b"a", b"x" * 3900)])
    with tools.Peer(unharmed.port) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, block) + frame(HEADERS, END_HEADERS, 3, b"\xbe" * 60_000))
        assert peer.error() == "connection ENHANCE_YOUR_CALM"


def test_the_table_is_followed(unharmed, tools):
    """The same bytes of a block have another meaning after the table has changed."""
    encoder = Encoder()
    with tools.Peer(unharmed.port) as peer:
        for number in range(200):
            stream = 2 * number + 1
            if number % 50 == 49:
                encoder.header_table_size = 0 if number % 100 == 49 else 4096
            path = b"/t.T/Echo" if number % 3 else b"/t.T/None"
            block = encoder.encode([*REQUEST[:2], (b":path", path), REQUEST[3], (b"n", b"%d" % (number // 10))])
            peer.send(frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, BODY))
            found = peer.wait_for(hf.HeadersFrame, stream)
            assert ("END_STREAM" in found.flags) == (number % 3 == 0)
    assert unharmed.is_at_rest()


def test_small_frames_take_little_memory(unharmed, tools):
    """4 MB arrive in frames of two bytes; each frame as an object would take forty bytes."""
    size = 2**22
    process = psutil.Process()
    one = frame(DATA, 0, 1, b"ab")
    with tools.Peer(unharmed.port) as peer:
        peer.send(OPEN + frame(DATA, 0, 1, prefix(size)))
        before = process.memory_info().rss
        for _ in range(size // 2 // 16_384):
            peer.send(one * 16_384)
        tools.until(lambda: unharmed.state()[0]["arriving_bytes"] == size + 5)
        assert process.memory_info().rss - before < 6 * size
        peer.send(frame(DATA, END_STREAM, 1))
        peer.send(window_update(0, 2**24) + window_update(1, 2**24))
        peer.wait_for(hf.HeadersFrame, 1)
    tools.until(unharmed.is_at_rest)


def test_more_than_the_window(unharmed, tools):
    mb = frame(DATA, 0, 1, bytes(2**20))
    with tools.Peer(unharmed.port) as peer:
        peer.send(OPEN + frame(DATA, 0, 1, prefix(2**24)) + mb)  # with the prefix it is five bytes too many
        assert peer.error() == "stream FLOW_CONTROL_ERROR"
        peer.send(mb)  # sent before the peer saw the reset
        assert peer.is_alive()
        peer.send(frame(HEADERS, END_HEADERS, 3, BLOCK) + frame(DATA, END_STREAM | PADDED, 3, b"\0" + BODY))
        peer.wait_for(hf.DataFrame, 3)


def test_requests_that_do_not_arrive(unharmed, tools, monkeypatch):
    """Over the limit only the oldest request gets a window: the memory is bounded, and all get their answer."""
    monkeypatch.setattr(server_connection, "MAX_ARRIVING", 2**20)
    size, streams = 2**21, range(1, 9, 2)
    half, quarter = 2**19, 2**18
    with tools.Peer(unharmed.port) as peer:
        for stream in streams:
            peer.send(tools.head(stream) + frame(DATA, 0, stream, prefix(size)))
            peer.send(frame(DATA, 0, stream, bytes(half)))
        assert peer.is_alive()
        assert unharmed.state()[0]["withheld"] == 2  # the third and the fourth
        for stream in streams:  # the oldest goes on, and then the next one is the oldest
            left = size - half
            while left:
                peer.send(frame(DATA, 0 if left > quarter else END_STREAM, stream, bytes(quarter)))
                left -= quarter
                assert peer.is_alive()
        tools.until(lambda: unharmed.state()[0]["arriving"] == 0)
        assert unharmed.state()[0]["arriving_bytes"] == unharmed.state()[0]["withheld"] == 0
        peer.send(setting(INITIAL_WINDOW_SIZE, 2**24) + window_update(0, 2**24))
        tools.until(unharmed.is_at_rest)


def test_a_message_over_the_limit(tools):
    with tools.serving(max_message=1000) as server:
        with tools.Peer(server.port) as peer:
            peer.send(OPEN + frame(DATA, 0, 1, prefix(1001)) + frame(DATA, 0, 1, bytes(500)) * 3)
            assert peer.error() == "answered"
            assert peer.error() == "stream NO_ERROR"
            peer.send(frame(DATA, END_STREAM, 1, bytes(500)))  # sent before the peer saw the reset
            peer.send(tools.request(3))
            peer.wait_for(hf.DataFrame, 3)
            peer.send(tools.head(5) + frame(DATA, 0, 5, prefix(5) + bytes(6)))  # more bytes than declared
            assert peer.error() == "answered"
        tools.until(lambda: not server.alive)


def test_requests_of_all_connections_together_are_bounded(tools):
    """Half-sent ones count until their clients are gone; an answer lets its request go."""
    with tools.serving(held=Held(500_000)) as server:
        half = frame(HEADERS, END_HEADERS, 1, BLOCK) + frame(DATA, 0, 1, prefix(10**6) + bytes(200_000))
        with tools.Peer(server.port) as first, tools.Peer(server.port) as second, tools.Peer(server.port) as third:
            for peer in (first, second):
                peer.send(half)
                assert peer.is_alive()
            third.send(half)
            refusal = Decoder().decode(third.wait_for(hf.HeadersFrame, 1).data)
            assert dict(refusal)["grpc-status"] == "8"
            assert "may hold 500000 bytes" in unquote(dict(refusal)["grpc-message"])
            third.send(tools.request(3, bytes(1000)))
            assert third.wait_for(hf.DataFrame, 3)
            third.send(tools.request(5, bytes(1000), "/t.T/Wait"))
            tools.until(lambda: server.begun)
            first.socket.close()
            tools.until(lambda: server.rules.held.bytes < 300_000)
        tools.until(lambda: server.rules.held.bytes == 1000 + 5)  # the method has not answered yet
        server.ask(lambda: server.begun[0].answer(b""))
        assert server.rules.held.bytes == 0


@pytest.mark.parametrize(
    ("size", "held", "text"), [(10**9, 2**30, "of over 97"), (10**8, 5 * 10**6, "may hold 5000000")]
)
def test_a_message_that_decompresses_to_more_than_it_may(tools, size, held, text):
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(packed.compress(bytes(10**7)) for _ in range(size // 10**7)) + packed.flush()
    block = plain_block([*REQUEST, (b"grpc-encoding", b"gzip")])
    with tools.serving(held=Held(held), max_ratio=100) as server, tools.Peer(server.port) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, block))
        content = struct.pack(">BL", 1, len(body)) + body
        for start in range(0, len(content), 10**6):
            part = content[start : start + 10**6]
            peer.send(frame(DATA, 0 if start + 10**6 < len(content) else END_STREAM, 1, part))
        answer = dict(Decoder().decode(peer.wait_for(hf.HeadersFrame, 1).data))
        assert answer["grpc-status"] == "8"
        assert text in unquote(answer["grpc-message"])
        assert server.rules.held.bytes == 0


def test_answers_that_nobody_takes(unharmed, tools, monkeypatch):
    """The client's windows, of HTTP/2 or of TCP, stay closed: memory is bounded, and other clients are served."""
    monkeypatch.setattr(server_connection, "MAX_UNSENT", 2**25)
    process = psutil.Process()
    before = process.memory_info().rss
    for windows in (b"", setting(INITIAL_WINDOW_SIZE, 2**31 - 1) + window_update(0, 2**30)):
        with tools.Peer(unharmed.port) as stuck, tools.Peer(unharmed.port) as other:
            stuck.send(windows)
            for stream in range(1, 401, 2):
                stuck.send(tools.request(stream, b"16777216", "/t.T/Make"))
            for stream in range(1, 41, 2):
                other.send(tools.request(stream))
                other.wait_for(hf.DataFrame, stream)
            assert process.memory_info().rss - before < 200 * 2**20
        tools.until(lambda: not unharmed.alive)
    with tools.Peer(unharmed.port) as peer:  # the held answers arrive when the client reads
        peer.send(setting(INITIAL_WINDOW_SIZE, 0))
        for stream in (1, 3, 5, 7, 9):
            peer.send(tools.request(stream, b"16777216", "/t.T/Make"))
        assert peer.is_alive()
        assert unharmed.state()[0]["held"] == 3
        peer.send(window_update(0, 2**30) + setting(INITIAL_WINDOW_SIZE, 2**30))
        ended = 0
        while ended < 5:
            ended += "END_STREAM" in peer.wait_for(hf.HeadersFrame).flags
        assert unharmed.is_at_rest()


def test_streams_whose_answers_wait_count(tools):
    with tools.serving(max_streams=10) as server, tools.Peer(server.port) as peer:
        peer.send(setting(INITIAL_WINDOW_SIZE, 0))
        for stream in range(1, 41, 2):
            peer.send(tools.request(stream))
        refused = [peer.wait_for(hf.RstStreamFrame) for _ in range(10)]
        assert {each.error_code for each in refused} == {frames.Code.REFUSED_STREAM}
        assert server.state()[0]["waiting"] == 10
        for stream in range(1, 21, 2):
            peer.send(frame(RST_STREAM, 0, stream, struct.pack(">L", 8)))
        tools.until(server.is_at_rest)


def test_windows_byte_by_byte(unharmed, tools):
    """1,000 answers wait, and each window opens by single bytes: a step's cost must not grow with their number."""
    with tools.Peer(unharmed.port) as peer:
        peer.send(setting(INITIAL_WINDOW_SIZE, 0))
        streams = range(1, 1601, 2)
        peer.send(b"".join(tools.request(stream, b"0123456789", "/t.T/Echo") for stream in streams))
        tools.until(lambda: unharmed.state()[0]["waiting"] == 800)
        began = time.process_time()
        for _ in range(15):
            peer.send(b"".join(window_update(stream, 1) for stream in streams))
        tools.until(unharmed.is_at_rest)
        assert time.process_time() - began < 4.0  # 12,000 updates; with steps over all streams, a minute
        total = 0
        while total < 800 * 15:
            total += len(peer.wait_for(hf.DataFrame).data)


def test_a_method_that_raises(unharmed, tools, caplog):
    with tools.Peer(unharmed.port) as peer:
        peer.send(tools.request(1, path="/t.T/Raise"))
        assert peer.error() == "answered"
        assert "AttributeError" in caplog.text
        peer.send(tools.request(3))
        peer.wait_for(hf.DataFrame, 3)
        assert unharmed.is_at_rest()


def test_a_client_with_a_small_table(unharmed, tools):
    """The first block after the setting says that the table has shrunk (RFC 7541, section 4.2)."""
    from hpack import Decoder

    decoder = Decoder()
    decoder.max_allowed_table_size = 0
    with tools.Peer(unharmed.port) as peer:
        peer.send(setting(frames.HEADER_TABLE_SIZE, 0) + tools.request(1) + tools.request(3, path="/t.T/None"))
        for _ in range(3):
            assert decoder.decode(peer.wait_for(hf.HeadersFrame).data)


def test_half_closed_sockets(unharmed, tools):
    import socket

    with tools.Peer(unharmed.port) as peer:
        peer.send(tools.request(1) + tools.request(3, path="/t.T/Wait"))
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.wait_for(hf.DataFrame, 1)
        assert peer.error() == "answered"
        assert peer.read() is None
        tools.until(lambda: not unharmed.alive)
    assert unharmed.begun[-1].is_over

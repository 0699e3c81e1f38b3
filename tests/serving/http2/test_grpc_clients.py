"""gRPC's own clients, sync and asyncio, and the library h2, over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time

import grpc
import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from grpc import StatusCode

from serving.http2.grpc_messages import prefix
from serving.launch import LOOPBACK

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
SMALL_WINDOWS = [*UNLIMITED, ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65535)]
SECONDS = 30


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"{LOOPBACK}:{server.port}", UNLIMITED) as found:
        yield found


def call(channel: grpc.Channel, body: bytes, method: str = "Echo", **options) -> bytes:
    options.setdefault("timeout", SECONDS)
    return channel.unary_unary(f"/t.T/{method}")(body, **options)


def status(*args, **options) -> tuple[StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **options)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("options", [UNLIMITED, SMALL_WINDOWS], ids=["as it is", "64 KB windows"])
@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 65_530, 65_531, 2**20 + 1, 2**26])
def test_sizes(server, size, options):
    body = hashlib.shake_128(b"seed").digest(min(size, 2**20)) * max(1, size // 2**20)
    with grpc.insecure_channel(f"{LOOPBACK}:{server.port}", options) as channel:
        assert call(channel, body) == body


def test_sizes_at_once(server):
    sizes = [0, 5, 70_000, 3_000_000] * 25
    bodies = [bytes([number]) * size for number, size in enumerate(sizes)]

    async def ask() -> None:
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{server.port}", UNLIMITED) as channel:
            echo = channel.unary_unary("/t.T/Echo")
            assert await asyncio.gather(*(echo(body, timeout=SECONDS) for body in bodies)) == bodies

    asyncio.run(ask())
    assert server.is_at_rest()


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_a_thousand_calls_on_a_channel(tools, limit):
    """Calls above the limit of open streams wait in the client; none is lost."""
    with tools.serving(max_streams=limit) as server:

        async def ask() -> None:
            async with grpc.aio.insecure_channel(f"{LOOPBACK}:{server.port}") as channel:
                echo = channel.unary_unary("/t.T/Echo")
                calls = [echo(b"%d" % number, timeout=SECONDS) for number in range(1000)]
                assert await asyncio.gather(*calls) == [b"%d" % number for number in range(1000)]

        asyncio.run(ask())
        assert server.count == 1000
        assert all(each["running"] == 0 for each in server.state())


def test_deadlines(server, channel, tools):
    assert call(channel, b"0.05", "Later", timeout=5) == b"late"
    server.begun.clear()
    assert status(channel, b"", "Wait", timeout=0.2)[0] is StatusCode.DEADLINE_EXCEEDED
    (begun,) = server.begun
    assert begun.deadline - time.monotonic() <= 0
    tools.until(lambda: begun.is_over)
    server.ask(lambda: begun.answer(b"too late"))
    assert call(channel, b"x") == b"x"
    assert server.is_at_rest()


def test_a_deadline_that_has_passed(server, tools):
    """The method is not even called."""
    count = server.count
    with tools.Peer(server.port) as peer:
        peer.send(tools.head(1, grpc_timeout="1m"))
        tools.until(lambda: server.state()[0]["arriving"] or server.state()[-1]["arriving"])
        began = time.monotonic()
        tools.until(lambda: time.monotonic() - began > 0.002)
        peer.send(tools.request(1)[len(tools.head(1)) :])
        assert peer.error() == "answered"
    assert server.count == count


def test_cancellation(server, channel, tools):
    server.begun.clear()
    running = [channel.unary_unary("/t.T/Wait").future(b"", timeout=SECONDS) for _ in range(100)]
    tools.until(lambda: len(server.begun) == 100)
    for each in running:
        each.cancel()
    tools.until(lambda: all(each.is_over for each in server.begun))
    server.ask(lambda: [each.answer(b"") for each in server.begun])
    assert server.is_at_rest()
    assert call(channel, b"x") == b"x"


def test_metadata(server, channel):
    metadata = [("a-bin", bytes(range(256))), ("a-bin", b""), ("large", "x" * 8000), ("twice", "1"), ("twice", "2")]
    for _ in range(3):
        assert call(channel, b"x", metadata=metadata) == b"x"


@pytest.mark.parametrize("compression", list(grpc.Compression))
def test_compression(channel, compression):
    body = b"compressible " * 100_000
    assert call(channel, body, compression=compression) == body


def test_a_compressed_message_over_the_limit(tools):
    with tools.serving(max_message=1000) as server, grpc.insecure_channel(f"{LOOPBACK}:{server.port}") as channel:
        packed = grpc.Compression.Gzip
        assert call(channel, bytes(1000), compression=packed) == bytes(1000)
        assert status(channel, bytes(1001), compression=packed)[0] is StatusCode.RESOURCE_EXHAUSTED
        code, text = status(channel, bytes(10**6))
        assert code is StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max (1000000 vs. 1000)" in text
        assert call(channel, b"x") == b"x"


def test_decompression_does_not_hold_up_others(server, channel, tools):
    """Several messages decompress to a hundred megabytes each, while another connection sends requests."""
    server.begun.clear()
    options = [*UNLIMITED, ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"{LOOPBACK}:{server.port}", options) as large:
        wait = large.unary_unary("/t.T/Wait")
        packed = grpc.Compression.Gzip
        running = [wait.future(bytes(10**8), timeout=SECONDS, compression=packed) for _ in range(3)]
        tools.until(lambda: call(channel, b"x") == b"x" and len(server.begun) == 3)
        assert {len(each.body) for each in server.begun} == {10**8}
        server.ask(lambda: [each.answer(b"") for each in server.begun])
        assert [each.result() for each in running] == [b""] * 3
    server.begun.clear()


def test_statuses(channel):
    assert status(channel, b"", "None") == (StatusCode.UNIMPLEMENTED, "Method not found!")
    text = "100 % schön \n\t \U0001f600"
    assert status(channel, text.encode(), "Fail") == (StatusCode.DATA_LOSS, text)
    code, text = status(channel, b"", "Raise")
    assert code is StatusCode.INTERNAL
    assert "AttributeError" not in text


def test_more_or_less_than_one_message(channel):
    for bodies in ([], [b"a", b"b"]):
        with pytest.raises(grpc.RpcError) as caught:
            channel.stream_unary("/t.T/Echo")(iter(bodies), timeout=SECONDS)
        assert caught.value.code() is StatusCode.UNIMPLEMENTED


def test_unix_socket(tools, tmp_path):
    with tools.serving(path=tmp_path / "s") as server:
        with grpc.insecure_channel(f"unix:{tmp_path / 's'}", UNLIMITED) as channel:
            assert call(channel, bytes(10**7)) == bytes(10**7)
        tools.until(lambda: not server.alive)


def test_a_graceful_end_loses_no_call(tools):
    """One of two servers stops while threads keep sending. gRPC's client uses the other one, and no call fails."""
    with tools.serving() as leaves, tools.serving() as stays:
        target = f"ipv4:{LOOPBACK}:{leaves.port},{LOOPBACK}:{stays.port}"
        failed: list[str] = []
        count = [0]
        done = threading.Event()
        body = bytes(100_000)
        with grpc.insecure_channel(target, [*UNLIMITED, ("grpc.lb_policy_name", "round_robin")]) as channel:

            def keep_asking() -> None:
                while not done.is_set():
                    try:
                        assert call(channel, body) == body
                        count[0] += 1
                    except grpc.RpcError as error:
                        failed.append(str(error))

            threads = [threading.Thread(target=keep_asking) for _ in range(4)]
            for thread in threads:
                thread.start()
            tools.until(lambda: count[0] > 50 and leaves.count)
            leaves.drain()
            tools.until(lambda: not leaves.alive)
            after = count[0]
            tools.until(lambda: count[0] > after + 50)
            done.set()
            for thread in threads:
                thread.join(SECONDS)
        assert failed == []


def test_a_drained_connection_brings_its_last_answers(tools):
    """The answers are large, and the client reads slowly and continues to write."""
    with tools.serving() as server, grpc.insecure_channel(f"{LOOPBACK}:{server.port}", SMALL_WINDOWS) as channel:
        running = [channel.unary_unary("/t.T/Make").future(b"20000000", timeout=SECONDS) for _ in range(5)]
        late = channel.unary_unary("/t.T/Later").future(b"0.3", timeout=SECONDS)
        tools.until(lambda: sum(each["running"] + each["waiting"] for each in server.state()))
        server.drain()
        assert [len(each.result()) for each in running] == [20_000_000] * 5
        assert late.result() == b"late"
        tools.until(lambda: not server.alive)


@pytest.mark.parametrize("rule", ["max_age_s", "max_idle_s"])
def test_connections_end_by_age_and_by_idleness(tools, rule):
    with tools.serving(**{rule: 0.2}) as server:
        with grpc.insecure_channel(f"{LOOPBACK}:{server.port}") as channel:
            assert call(channel, b"0.5", "Later") == b"late"  # longer than either
            tools.until(lambda: not server.alive)
            for _ in range(5):
                assert call(channel, b"x") == b"x"  # over another connection
        tools.until(lambda: not server.alive)


def test_h2(server):
    """Another library's client, with windows of 10 bytes."""
    import socket

    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    client.initiate_connection()
    client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
    body = prefix(100) + bytes(100)
    with socket.create_connection((LOOPBACK, server.port), timeout=SECONDS) as connection:
        for stream in (1, 3, 5):
            fields = [(":method", "POST"), (":scheme", "http"), (":path", "/t.T/Echo"), (":authority", "a")]
            client.send_headers(stream, [*fields, ("content-type", "application/grpc"), ("te", "trailers")])
            client.send_data(stream, body[:3])
            client.send_data(stream, body[3:], pad_length=7)
            client.send_data(stream, b"", end_stream=True)
        answers: dict[int, bytes] = {1: b"", 3: b"", 5: b""}
        statuses = {}
        while len(statuses) < 3:
            connection.sendall(client.data_to_send())
            for event in client.receive_data(connection.recv(65536)):
                assert not isinstance(event, (h2.events.ConnectionTerminated, h2.events.StreamReset))
                if isinstance(event, h2.events.DataReceived):
                    answers[event.stream_id] += event.data
                    client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.TrailersReceived):
                    statuses[event.stream_id] = dict(event.headers)[b"grpc-status"]
        assert set(answers.values()) == {body}
        assert set(statuses.values()) == {b"0"}


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({":method": "GET"}, b"405"),
        ({"content_type": "application/json"}, b"415"),
        ({"content_type": "application/grpc-web"}, b"415"),
    ],
)
def test_requests_that_are_not_grpcs(server, tools, more, wanted):
    from hpack import Decoder
    from hyperframe import frame as hf

    with tools.Peer(server.port) as peer:
        peer.send(tools.head(1, **more))
        assert dict(Decoder().decode(peer.wait_for(hf.HeadersFrame).data, raw=True))[b":status"] == wanted

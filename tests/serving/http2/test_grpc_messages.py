"""gRPC messages in HTTP/2, and the head of a request."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http2.grpc_messages import (
    MessageError,
    declared_size,
    decoded_text,
    encoded_text,
    message,
    prefix,
    timeout_s,
)
from serving.http2.grpc_server import read_head

PACKED = {b"gzip": gzip.compress, b"deflate": zlib.compress}


@given(st.binary(), st.sampled_from(sorted(PACKED)))
def test_messages(content, encoding):
    plain = prefix(len(content)) + content
    assert message(plain) == message(bytearray(plain)) == message(plain, encoding) == content
    assert declared_size(plain) == len(content)
    packed = PACKED[encoding](content)
    assert message(b"\1" + prefix(len(packed))[1:] + packed, encoding, len(content)) == content


def packed(content: bytes, flag: int = 1) -> bytes:
    return bytes([flag]) + prefix(len(content))[1:] + content


@pytest.mark.parametrize(
    ("body", "encoding", "code"),
    [
        (b"", b"identity", "UNIMPLEMENTED"),
        (b"\0\0\0\0", b"identity", "INTERNAL"),
        (prefix(2) + b"x", b"identity", "INTERNAL"),
        (prefix(0) * 2, b"identity", "UNIMPLEMENTED"),
        (packed(gzip.compress(b"x", mtime=0)), b"identity", "INTERNAL"),
        (packed(gzip.compress(b"x", mtime=0)), b"snappy", "UNIMPLEMENTED"),
        (packed(gzip.compress(b"x", mtime=0)), b"deflate", "INTERNAL"),
        (packed(gzip.compress(b"x", mtime=0), 2), b"gzip", "INTERNAL"),
        (packed(gzip.compress(b"x", mtime=0)[:-1]), b"gzip", "INTERNAL"),
        (packed(gzip.compress(b"x", mtime=0) + b"y"), b"gzip", "INTERNAL"),
        (packed(gzip.compress(bytes(10**7), mtime=0)), b"gzip", "RESOURCE_EXHAUSTED"),
    ],
)
def test_bodies_that_are_no_message(body, encoding, code):
    with pytest.raises(MessageError) as caught:
        message(body, encoding, 10**6)
    assert caught.value.code == code


def test_timeouts():
    wanted = {b"1H": 3600, b"2M": 120, b"3S": 3, b"4m": 4e-3, b"5u": 5e-6, b"99999999n": 0.099999999, b"0n": 0}
    assert {value: timeout_s(value) for value in wanted} == pytest.approx(wanted)
    for value in (b"", b"S", b"1", b"1s", b"-1S", b"+1S", b"1.5S", b"100000000S", b" 1S", b"1_0S", "\u0661S".encode()):
        assert timeout_s(value) is None


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_texts(text):
    travels = encoded_text(text)
    assert all(0x20 <= byte < 0x7F for byte in travels)
    assert decoded_text(travels) == text


@given(st.binary())
def test_any_bytes_are_a_text(value):
    assert decoded_text(b"".join(b"%%%02X" % byte for byte in value)) == value.decode("utf-8", "replace")
    text = decoded_text(b"%" + value)
    assert text.encode("utf-8").decode("utf-8") == text


@given(
    st.lists(
        st.tuples(st.sampled_from([b":path", b"te", b"grpc-timeout", b"content-length"]) | st.binary(), st.binary())
    )
)
def test_any_fields_have_a_head(fields):
    head = read_head(fields)
    assert head.is_trailing or head.problem  # without :method


def test_content_types():
    needed = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a")]
    wanted = {
        b"application/grpc": True,
        b"application/grpc+proto": True,
        b"application/grpc;a=b": True,
        b"application/grpc-web": False,
        b"application/json": False,
        b"": False,
    }
    assert {kind: read_head([*needed, (b"content-type", kind)]).is_grpc for kind in wanted} == wanted
    assert read_head([*needed, (b"content-length", b"12")]).size == 12

"""Header blocks: encoded here and decoded by the library hpack, or encoded by hpack and decoded here."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from serving.http2.frames import Code, Http2Error
from serving.http2.header_blocks import (
    MAX_LIST_BYTES,
    BlockReader,
    plain_block,
    repeated_block,
    size_update,
)

NAME = st.sampled_from([b":path", b":method", b"te", b"x", b"grpc-timeout"]) | st.binary(min_size=1, max_size=200)
FIELDS = st.lists(st.tuples(NAME, st.binary(max_size=300)), max_size=12)


def decoded(decoder: Decoder, block: bytes) -> list[tuple[bytes, bytes]]:
    return [tuple(field) for field in decoder.decode(block, raw=True)]


@given(FIELDS)
def test_plain_blocks(fields):
    """They decode to the same fields with any dynamic table, and do not change it."""
    encoder, decoder = Encoder(), Decoder()
    decoded(decoder, encoder.encode([(b":path", b"/a"), (b"x", b"1"), *fields]))
    before = list(decoder.header_table.dynamic_entries)
    assert before
    assert decoded(decoder, plain_block(fields)) == fields
    assert list(decoder.header_table.dynamic_entries) == before


@given(st.integers(0, 70_000))
def test_lengths(size):
    fields = [(b"a" * (size % 300), b"b" * size)]
    assert decoded(Decoder(10**6), plain_block(fields)) == fields


@given(FIELDS, st.integers(0, 10_000))
def test_repeated_blocks(fields, table):
    decoder = Decoder()
    decoder.max_allowed_table_size = min(table, 4096)
    first, later = repeated_block(fields, table)
    for block in (first, later, later, later):
        assert decoded(decoder, block) == fields


@given(st.integers(0, 4096))
def test_size_updates(size):
    decoder = Decoder()
    decoder.max_allowed_table_size = size
    assert decoded(decoder, size_update(size) + plain_block([(b"a", b"b")])) == [(b"a", b"b")]
    assert decoder.header_table_size == size


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([None, 0, 100, 4096])), max_size=30), st.data())
def test_what_is_remembered_is_what_was_meant(steps, data):
    """The same few lists are repeated while the size of the table changes."""
    lists = data.draw(st.lists(FIELDS, min_size=6, max_size=6))
    reader, encoder = BlockReader(list), Encoder()
    for which, size in steps:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode(lists[which], huffman=bool(which % 2))
        assert [tuple(field) for field in reader.read(block)] == lists[which]


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_any_bytes_are_a_block_or_a_protocol_error(blocks):
    reader, errors = BlockReader(list), []
    for block in blocks:
        try:
            fields = reader.read(block)
        except Http2Error as error:
            errors.append(error)
        else:
            assert all(isinstance(part, bytes) for field in fields for part in field)
    assert {error.code for error in errors} <= {Code.COMPRESSION_ERROR, Code.ENHANCE_YOUR_CALM}


def test_limits():
    assert len(BlockReader(list).read(plain_block([(b"a", b"b" * (MAX_LIST_BYTES - 33))]))) == 1
    for block in (plain_block([(b"a", b"b" * (MAX_LIST_BYTES - 32))]), b"\x82" * 5000, bytes(MAX_LIST_BYTES + 1)):
        with pytest.raises(Http2Error) as caught:
            BlockReader(list).read(block)
        assert caught.value.code is Code.ENHANCE_YOUR_CALM


def test_few_and_small_blocks_are_remembered():
    """A remembered block is not parsed again; 256 of at most 1,024 bytes are."""
    parsed = []

    def parse(fields):
        parsed.append(fields)
        return fields

    reader = BlockReader(parse)
    large = plain_block([(b"n", b"x" * 1024)])
    small = [plain_block([(b"n", b"%d" % number)]) for number in range(300)]
    for block in (large, *small):
        reader.read(block)
    parsed.clear()
    for block in (large, *small):
        reader.read(block)
    assert len(parsed) == 1 + 300 - 256
    assert parsed[0][0][1] == b"x" * 1024

"""Frames, against the library hyperframe."""

from __future__ import annotations

import pytest
from hyperframe import frame as hf
from hypothesis import given
from hypothesis import strategies as st

from serving.http2 import frames
from serving.http2.frames import Code, FrameReader, Http2Error

STREAM = st.integers(1, 2**31 - 1)
NUMBER = st.integers(0, 2**32 - 1)


def theirs(data: bytes) -> hf.Frame:
    found, size = hf.Frame.parse_frame_header(memoryview(data[:9]), strict=True)
    assert size == len(data) - 9
    found.parse_body(memoryview(data[9:]))
    return found


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), STREAM, st.binary(max_size=5000)), max_size=6),
    st.lists(st.integers(1, 6000), max_size=20),
)
def test_however_they_are_cut_they_come_out(sent, cuts):
    data = b"".join(frames.frame(*each) for each in sent)
    reader, found = FrameReader(5000), []
    for size in [*cuts, len(data)]:
        found += reader.feed(data[:size])
        data = data[size:]
    assert found == sent
    assert all(type(payload) is bytes for *_, payload in found)


def test_single_bytes_and_the_limit():
    data = frames.frame(frames.DATA, 0, 1, bytes(range(256)) * 40) * 2
    reader = FrameReader(256 * 40)
    found = [each for index in range(len(data)) for each in reader.feed(data[index : index + 1])]
    assert found == [(frames.DATA, 0, 1, bytes(range(256)) * 40)] * 2
    with pytest.raises(Http2Error) as caught:
        FrameReader(100).feed(frames.head(frames.DATA, 0, 1, 101))
    assert caught.value.code is Code.FRAME_SIZE_ERROR


@given(STREAM, st.binary(max_size=100_000), st.integers(16_384, 40_000), st.booleans())
def test_data_frames(stream, body, size, last):
    written = b"".join(bytes(part) for part in frames.data_frames(stream, body, size, last))
    found, whole, ended = FrameReader(size).feed(written), b"", []
    for kind, flags, on, payload in found:
        assert (kind, on) == (frames.DATA, stream)
        whole += payload
        ended.append(bool(flags & frames.END_STREAM))
    assert whole == body
    assert ended == ([False] * (len(found) - 1) + [last] if found else [])


@given(st.dictionaries(st.integers(1, 6), st.integers(0, 2**31 - 1)))
def test_settings(values):
    found = theirs(frames.settings(values))
    assert isinstance(found, hf.SettingsFrame)
    assert found.settings == values
    assert dict(frames.read_settings(hf.SettingsFrame(0, settings=values).serialize()[9:])) == values


@given(STREAM, NUMBER, st.text())
def test_numbers(stream, number, text):
    assert theirs(frames.reset(stream, number)).error_code == number
    increment = number % 2**31 or 1
    assert theirs(frames.window_update(stream, increment)).window_increment == increment
    said = text.encode("utf-8", "replace")[:256]
    goaway = theirs(frames.goaway(stream, Code.ENHANCE_YOUR_CALM, text))
    assert (goaway.last_stream_id, goaway.error_code) == (stream, Code.ENHANCE_YOUR_CALM)
    assert goaway.additional_data == said
    theirs_in_bytes = hf.GoAwayFrame(0, stream, number, said).serialize()[9:]
    assert frames.read_goaway(theirs_in_bytes) == (stream, number, said.decode("utf-8", "replace"))


@given(st.binary(max_size=300), st.integers(0, 255))
def test_padding(content, padding):
    padded = hf.DataFrame(1, content, pad_length=padding, flags=["PADDED"]).serialize()[9:]
    assert frames.without_padding(frames.PADDED, padded) == content
    assert frames.without_padding(0, content) == content
    with pytest.raises(Http2Error):
        frames.without_padding(frames.PADDED, bytes([len(content) + 1]) + content if len(content) < 255 else b"")


@given(st.lists(st.binary(max_size=6000)))
def test_pieces(parts):
    pieces: list[bytes | bytearray] = []
    for part in parts:
        frames.add_piece(pieces, part)
    assert b"".join(pieces) == b"".join(parts)
    assert len(pieces) <= 3 + 2 * sum(map(len, parts)) // 4096


def test_names_of_codes():
    assert [frames.code_name(code) for code in (0, 11, 99)] == ["NO_ERROR", "ENHANCE_YOUR_CALM", "99"]

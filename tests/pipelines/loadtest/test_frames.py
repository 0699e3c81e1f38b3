from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.loadtest import frames
from pipelines.loadtest.agent import packed, unpacked
from pipelines.loadtest.frames import MAX_DATA, Channel, Frame, Inbox, Lost, plain, send_files
from pipelines.loadtest.live import Look


class Ends:
    """A pipe that a channel reads and another writes."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.here, self.there = Channel(self.reading, self.writing), Channel(self.reading, self.writing)

    def close(self) -> None:
        os.close(self.reading)
        if self.writing >= 0:
            os.close(self.writing)


@pytest.fixture
def pipe() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


@given(st.lists(st.tuples(st.text(), st.binary(max_size=500)), max_size=8))
def test_what_is_sent_arrives(sent: list[tuple[str, bytes]]) -> None:
    ends = Ends()
    for text, data in sent:
        ends.here.send("word", data, text=text)
    found = [ends.there.receive(1.0) for _ in sent]
    assert found == [Frame("word", {"text": text}, data) for text, data in sent]
    assert ends.there.receive(0.0) is None
    ends.close()


def test_what_a_login_shell_says_is_passed_over(pipe) -> None:
    os.write(pipe.writing, b"Welcome!\nmail for you\nslipway-agent\n")
    pipe.here.send("hello", version="1")
    pipe.there.skip_to(b"slipway-agent\n", 1.0)
    assert pipe.there.expect("hello").facts == {"version": "1"}


def test_who_says_something_else_is_lost(pipe, monkeypatch) -> None:
    pipe.here.send("clock", ns=1)
    with pytest.raises(Lost, match="should have said 'hello' and said 'clock' instead"):
        pipe.there.expect("hello")
    with pytest.raises(Lost, match="said nothing within"):
        pipe.there.expect("hello", 0.01)
    os.write(pipe.writing, b"chatter, and no frame at all")
    with pytest.raises(Lost, match="no frame"):
        pipe.there.receive(1.0)
    with pytest.raises(Lost, match="no generator answered"):
        pipe.there.skip_to(b"mark", 0.01)
    with pytest.raises(ValueError, match="too large"):
        pipe.here.send("data", bytes(MAX_DATA + 1))
    monkeypatch.setattr(frames, "SILENT_S", 0.05)
    with pytest.raises(Lost, match="took nothing"):  # a pipe that nobody empties
        pipe.here.send("data", bytes(MAX_DATA))


@pytest.mark.parametrize("text", [b"[]", b"{", b"{}", b"\xff\xff", b"[" * 50_000])
def test_facts_that_are_none(pipe, text: bytes) -> None:
    os.write(pipe.writing, len(text).to_bytes(4, "big") + bytes(4) + text)
    with pytest.raises(Lost, match="no frame"):
        pipe.there.receive(1.0)


def test_an_end_is_noticed(pipe) -> None:
    os.close(pipe.writing)
    pipe.writing = -1
    with pytest.raises(Lost, match="the connection has ended"):
        pipe.there.receive(1.0)


def test_files_travel_and_no_others(pipe, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "a").write_bytes(b"of a" * 1000)
    (source / "b").write_bytes(b"")
    send_files(pipe.here, source, ("a", "b", "missing"))
    inbox = Inbox(target, ("a", "b"))
    while inbox.take(pipe.there.expect("file") if not (target / "a").exists() else pipe.there.expect("whole")):
        pass
    assert (target / "a").read_bytes() == b"of a" * 1000
    for frame in (Frame("file", {"name": "../c"}, b"x"), Frame("file", {}, b"x"), Frame("look", {"name": "a"}, b"")):
        with pytest.raises(Lost, match="files that nobody asked for"):
            inbox.take(frame)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["a", "a", "b", "source", "target"]


def test_looks_travel() -> None:
    look = Look(10, 8, 1, 1, 5e8, np.array([1_500_000, 2_250_000]))
    data, facts = packed(look)
    found = unpacked(Frame("look", facts, data))
    assert found is not None
    assert found.latencies_ns.tolist() == [1_500_000.0, 2_250_000.0]
    assert (found.sent, found.answered, found.errors, found.in_flight, found.span_ns) == (10, 8, 1, 1, 5e8)
    assert unpacked(Frame("look", {}, b"")) is None
    wrong = ({"sent": "1"}, {"sent": -1}, {"errors": True}, {"span_ns": 0}, {"span_ns": "x"}, {"span_ns": float("nan")})
    for other in ({"sent": 1}, *(facts | one for one in wrong)):
        with pytest.raises(Lost):
            unpacked(Frame("look", other, data))
    with pytest.raises(Lost, match="cannot be"):
        unpacked(Frame("look", facts, np.array([np.nan], "<f4").tobytes()))


def test_what_the_other_side_says_steers_no_terminal() -> None:
    assert plain("two\nlines\x1b[31m red\u202e") == "two lines?[31m red?"
    assert len(plain("x" * 10**6)) == 300

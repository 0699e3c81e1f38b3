"""What the coordinator and a generator's host say to one another: frames over two pipes.

A frame is its lengths (two big-endian uint32), facts as JSON with their ``kind``, and bytes. Nothing in it is a
program, and nothing is larger than a bound.
"""

from __future__ import annotations

import json
import os
import select
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.errors import SlipwayError

MAX_FACTS = 2**20
MAX_DATA = 2**20
MAX_FILES_BYTES = 4 * 2**30
"""Of all files in one direction: the bodies one way; recording and sampled answers the other."""
SILENT_S = 10.0
"""Both sides say something at least every second while a test runs: who is silent for so long is gone."""
_LENGTHS = struct.Struct(">II")
_READ = 2**18


class Lost(SlipwayError):
    """The other side is gone, or does not keep to the rules."""


def plain(text: object, most: int = 300) -> str:
    """What the other side says, for a message: one line, no longer than that, nothing that steers a terminal."""
    line = " ".join(str(text)[: 10 * most].split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:most]


class Frame(NamedTuple):
    kind: str
    facts: dict[str, Any]
    data: bytes


class Channel:
    """Frames over a file descriptor to read and one to write; for one thread."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._buffer = bytearray()
        os.set_blocking(writing, False)

    def send(self, kind: str, data: bytes | memoryview = b"", **facts: Any) -> None:
        """Raises Lost when the other side takes nothing for SILENT_S, or has closed the pipe."""
        text = json.dumps({"kind": kind, **facts}).encode()
        if len(text) > MAX_FACTS or len(data) > MAX_DATA:
            raise ValueError(f"a frame of {len(text):,} and {len(data):,} bytes is too large")
        for piece in (_LENGTHS.pack(len(text), len(data)) + text, data):
            left = memoryview(piece)
            while left:
                if not select.select([], [self._writing], [], SILENT_S)[1]:
                    raise Lost(f"it took nothing for {SILENT_S:g} s")
                try:
                    left = left[os.write(self._writing, left) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise Lost("the connection has ended") from error

    def receive(self, timeout_s: float) -> Frame | None:
        """The next frame; None if none is whole within the time. Raises Lost at the end, and for what is no frame."""
        deadline = time.monotonic() + timeout_s
        while (frame := self._whole()) is None:
            left_s = deadline - time.monotonic()
            if not select.select([self._reading], [], [], max(0.0, left_s))[0]:
                return None
            self._buffer += self._read()
        return frame

    def expect(self, kind: str, timeout_s: float = SILENT_S) -> Frame:
        """The next frame, which is of that kind. Raises Lost."""
        frame = self.receive(timeout_s)
        if frame is None or frame.kind != kind:
            said = f"said {frame.kind[:40]!r} instead" if frame else "said nothing"
            raise Lost(f"it should have said {kind!r} and {said} within {timeout_s:g} s")
        return frame

    def skip_to(self, mark: bytes, timeout_s: float, most: int = 2**16) -> None:
        """Passes over what a login shell prints before the first frame. Raises Lost."""
        deadline = time.monotonic() + timeout_s
        while mark not in self._buffer:
            ready = select.select([self._reading], [], [], max(0.0, deadline - time.monotonic()))[0]
            if not ready or len(self._buffer) > most:
                raise Lost(f"no generator answered within {timeout_s:g} s")
            self._buffer += self._read()
        del self._buffer[: self._buffer.index(mark) + len(mark)]

    def _read(self) -> bytes:
        try:
            data = os.read(self._reading, _READ)
        except OSError as error:
            raise Lost("the connection has ended") from error
        if not data:
            raise Lost("the connection has ended")
        return data

    def _whole(self) -> Frame | None:
        if len(self._buffer) < _LENGTHS.size:
            return None
        facts_size, data_size = _LENGTHS.unpack_from(self._buffer)
        if facts_size > MAX_FACTS or data_size > MAX_DATA:
            raise Lost("it sent what is no frame")
        begin = _LENGTHS.size + facts_size
        if len(self._buffer) < begin + data_size:
            return None
        text, data = bytes(self._buffer[_LENGTHS.size : begin]), bytes(self._buffer[begin : begin + data_size])
        del self._buffer[: begin + data_size]
        try:
            facts = json.loads(text)
            return Frame(str(facts.pop("kind")), facts, data)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Lost("it sent what is no frame") from error


def send_files(channel: Channel, folder: Path, names: Sequence[str]) -> None:
    """Files in pieces, each in its frame; then ``whole``. Those that are not there are left out."""
    for name in names:
        if (folder / name).exists():
            with (folder / name).open("rb") as file:
                while piece := file.read(MAX_DATA):
                    channel.send("file", piece, name=name)
    channel.send("whole")


class Inbox:
    """Takes the files of :func:`send_files` into a folder: these names alone, and no more than a bound."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder, self._names, self._left = folder, frozenset(names), MAX_FILES_BYTES

    def take(self, frame: Frame) -> bool:
        """Whether more is to come. Raises Lost for what is no file of these."""
        if frame.kind == "whole":
            return False
        self._left -= len(frame.data)
        name = frame.facts.get("name")
        if frame.kind != "file" or name not in self._names or self._left < 0:
            raise Lost("it sent files that nobody asked for")
        with (self._folder / name).open("ab") as file:
            file.write(frame.data)
        return True

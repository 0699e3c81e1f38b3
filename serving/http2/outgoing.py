"""What this side sends, as far as the peer's windows let it out (RFC 9113, section 5.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from serving.http2 import frames
from serving.http2.frames import Code, Http2Error, StreamError

_TURN = 65_536
"""Bytes that a stream sends before another one that waits for the window of the connection, too."""


@dataclass(slots=True)
class _Rest:
    """The rest of a body, and what follows it."""

    body: memoryview
    tail: bytes


class Outgoing:
    """Bodies that are sent, and those that wait. A step costs the same however many wait."""

    def __init__(self) -> None:
        self.write: Callable[[bytes], None] = _nowhere
        self._write_parts: Callable[..., None] = _nowhere
        self.largest_frame = frames.DEFAULT_FRAME
        self.unsent = 0  # bytes of bodies that wait for a window
        self._window = frames.DEFAULT_WINDOW
        self._initial = frames.DEFAULT_WINDOW
        self._granted: dict[int, int] = {}  # of a stream with something to send: its window beyond the initial one
        self.waiting: dict[int, _Rest] = {}  # streams that wait for a window
        self._ready: dict[int, None] = {}  # those of them that wait for nothing but the window of the connection

    def begin(self, transport: asyncio.Transport) -> None:
        """From now on it writes there."""
        self.write, self._write_parts = transport.write, transport.writelines

    def end(self) -> None:
        """From now on it writes nowhere."""
        self.write = self._write_parts = _nowhere
        self._granted.clear()
        self.waiting.clear()
        self._ready.clear()
        self.unsent = 0

    def sizes(self) -> dict[str, int]:
        """Counts everything that grows with what the peer asks for and does not take."""
        return {
            "waiting": len(self.waiting),
            "ready": len(self._ready),
            "granted": len(self._granted),
            "unsent": self.unsent,
        }

    def send(self, stream: int, head: bytes, body: bytes, tail: bytes = b"") -> None:
        """Frames before a body, the body as DATA frames, frames after it; without ``tail`` the body ends the stream."""
        size = len(body)
        if (
            size <= self._window
            and not self.waiting
            and size <= self._initial + self._granted.get(stream, 0)
            and size <= self.largest_frame
        ):
            self._window -= size
            self._granted.pop(stream, None)
            flags = 0 if tail else frames.END_STREAM
            self.write(head + frames.head(frames.DATA, flags, stream, size) + body + tail)
            return
        self.write(head)
        self.waiting[stream] = _Rest(memoryview(body), tail)
        self.unsent += size
        self._ready[stream] = None
        self.go_on()

    def widen(self, size: int) -> None:
        """The window of the connection is wider. Raises Http2Error: by nothing, or by too much."""
        self._window += size
        if not size:
            raise Http2Error(Code.PROTOCOL_ERROR, "a window of nothing more")
        if self._window > frames.LARGEST_WINDOW:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, f"a window of {size} bytes more")
        self.go_on()

    def widen_stream(self, stream: int, size: int) -> None:
        """The window of a stream that has something to send is wider. Raises StreamError: by nothing, or too much."""
        granted = self._granted.get(stream, 0) + size
        if not size:
            raise StreamError(stream, Code.PROTOCOL_ERROR, "a window of nothing more")
        if self._initial + granted > frames.LARGEST_WINDOW:
            raise StreamError(stream, Code.FLOW_CONTROL_ERROR, f"a window of {size} bytes more")
        self._granted[stream] = granted
        if stream in self.waiting:
            self._ready[stream] = None
            self.go_on()

    def set_initial(self, size: int) -> None:
        """The window that each stream begins with is another one; so is that of those that began (6.9.2).
        What may be sent now is sent by :meth:`go_on`.

        Raises:
            Http2Error: FLOW_CONTROL_ERROR, a window is over the limit now.
        """
        widest = max(self._granted.values(), default=0)
        if size + max(0, widest) > frames.LARGEST_WINDOW:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, f"an initial window of {size} bytes")
        wider, self._initial = size > self._initial, size
        if wider and self.waiting:
            self._ready.update(dict.fromkeys(self.waiting))

    def forget(self, stream: int) -> None:
        """The stream is over: nothing more of it is sent."""
        self._granted.pop(stream, None)
        rest = self.waiting.pop(stream, None)
        if rest is not None:
            self.unsent -= len(rest.body)
            self._ready.pop(stream, None)

    def go_on(self) -> None:
        """One after the other sends a part, as long as there are some that may."""
        while self._ready:
            stream = next(iter(self._ready))
            rest = self.waiting[stream]
            room = self._initial + self._granted.get(stream, 0)
            size = min(room, self._window, len(rest.body), _TURN)
            if size <= 0 < len(rest.body):
                if room > 0:
                    return  # nobody may: the window of the connection is empty
                del self._ready[stream]
                continue
            del self._ready[stream]
            self._window -= size
            self.unsent -= size
            whole = size == len(rest.body)
            ends = whole and not rest.tail
            self._write_parts(frames.data_frames(stream, rest.body[:size], self.largest_frame, ends))
            if whole:
                del self.waiting[stream]
                self._granted.pop(stream, None)
                if rest.tail:
                    self.write(rest.tail)
            else:
                self._granted[stream] = self._granted.get(stream, 0) - size
                rest.body = rest.body[size:]
                self._ready[stream] = None  # again, after the others


def _nowhere(_data: object) -> None:
    """Where the bytes of a connection go that is over."""

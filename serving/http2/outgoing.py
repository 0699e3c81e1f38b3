"""Send bodies as far as the peer's windows allow (RFC 9113, section 5.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from serving.http2 import frames
from serving.http2.frames import Code, Http2Error, StreamError

_TURN = 65_536
"""Bytes that a stream sends before another stream gets its turn at the connection's window."""


@dataclass(slots=True)
class _Rest:
    """The rest of a body, and the frames after it."""

    body: memoryview
    tail: bytes


class Outgoing:
    """The bodies being sent and those that wait. The cost of a step does not depend on the number that wait."""

    def __init__(self) -> None:
        self.write: Callable[[bytes], None] = _nowhere
        self._write_parts: Callable[..., None] = _nowhere
        self.largest_frame = frames.DEFAULT_FRAME
        self.unsent = 0  # bytes of bodies that wait for a window
        self._window = frames.DEFAULT_WINDOW
        self._initial = frames.DEFAULT_WINDOW
        self._granted: dict[int, int] = {}  # by stream with something to send: its window minus the initial one
        self.waiting: dict[int, _Rest] = {}  # streams that wait for a window
        self._ready: dict[int, None] = {}  # those that wait only for the window of the connection

    def begin(self, transport: asyncio.Transport) -> None:
        """Start to write to a transport."""
        self.write, self._write_parts = transport.write, transport.writelines

    def end(self) -> None:
        """Stop writing, and drop all waiting bodies."""
        self.write = self._write_parts = _nowhere
        self._granted.clear()
        self.waiting.clear()
        self._ready.clear()
        self.unsent = 0

    def sizes(self) -> dict[str, int]:
        """Count everything that grows when the peer requests data but does not read it."""
        return {
            "waiting": len(self.waiting),
            "ready": len(self._ready),
            "granted": len(self._granted),
            "unsent": self.unsent,
        }

    def send(self, stream: int, head: bytes, body: bytes, tail: bytes = b"") -> None:
        """Send frames before a body, the body as DATA frames, and ``tail``; without it, the body ends the stream."""
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

    def send_part(self, stream: int, head: bytes, body: bytes) -> bool:
        """Send frames and one DATA frame of an answer that goes on; False if the windows have no room for it."""
        size, granted = len(body), self._granted.get(stream, 0)
        if self.waiting or size > min(self._window, self._initial + granted, self.largest_frame):
            return False
        self._window -= size
        self._granted[stream] = granted - size
        self.write(head + frames.head(frames.DATA, 0, stream, size) + body)
        return True

    def widen(self, size: int) -> None:
        """Widen the window of the connection. Raises Http2Error: ``size`` is 0 or too large."""
        self._window += size
        if not size:
            raise Http2Error(Code.PROTOCOL_ERROR, "a WINDOW_UPDATE of 0 bytes")
        if self._window > frames.LARGEST_WINDOW:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, f"a window of {size} bytes more")
        self.go_on()

    def widen_stream(self, stream: int, size: int) -> None:
        """Widen the window of a stream with something to send. Raises StreamError: ``size`` is 0 or too large."""
        granted = self._granted.get(stream, 0) + size
        if not size:
            raise StreamError(stream, Code.PROTOCOL_ERROR, "a WINDOW_UPDATE of 0 bytes")
        if self._initial + granted > frames.LARGEST_WINDOW:
            raise StreamError(stream, Code.FLOW_CONTROL_ERROR, f"a window of {size} bytes more")
        self._granted[stream] = granted
        if stream in self.waiting:
            self._ready[stream] = None
            self.go_on()

    def set_initial(self, size: int) -> None:
        """Change the initial window of all streams, those in use included (6.9.2). Then call :meth:`go_on`.

        Raises:
            Http2Error: FLOW_CONTROL_ERROR, a window is now over the limit.
        """
        widest = max(self._granted.values(), default=0)
        if size + max(0, widest) > frames.LARGEST_WINDOW:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, f"an initial window of {size} bytes")
        wider, self._initial = size > self._initial, size
        if wider and self.waiting:
            self._ready.update(dict.fromkeys(self.waiting))

    def forget(self, stream: int) -> None:
        """Forget an ended stream: nothing more of it is sent."""
        self._granted.pop(stream, None)
        rest = self.waiting.pop(stream, None)
        if rest is not None:
            self.unsent -= len(rest.body)
            self._ready.pop(stream, None)

    def go_on(self) -> None:
        """Send parts of the waiting bodies in turn, as long as the windows allow."""
        while self._ready:
            stream = next(iter(self._ready))
            rest = self.waiting[stream]
            room = self._initial + self._granted.get(stream, 0)
            size = min(room, self._window, len(rest.body), _TURN)
            if size <= 0 < len(rest.body):
                if room > 0:
                    return  # the window of the connection is empty
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
                self._ready[stream] = None  # last in the queue


def _nowhere(_data: object) -> None:
    """Drop bytes for a connection that has ended."""

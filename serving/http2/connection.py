"""One HTTP/2 connection over an asyncio transport: frames, settings and flow control, for a client or a server.

What streams mean is the business of a subclass. Rules are those of RFC 9113, by section; where the RFC leaves a
limit to the implementation, it is there so that no peer can make this side hold or do more than it announced.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, cast

from serving.http2 import frames
from serving.http2.frames import Code, ProtocolError, code_name
from serving.http2.header_blocks import MAX_LIST_BYTES, BlockReader, Fields, Parsed

FRAME_LIMIT = 2**20
"""Payload of one frame that peers may send, in bytes: large bodies in few frames."""
MAX_BLOCK_BYTES = 2 * MAX_LIST_BYTES
"""Of one header block on the wire, over all of its frames: what CONTINUATION frames without end run into."""
MAX_IDLE_FRAMES = 10_000
"""Frames one after the other that carry nothing (empty DATA, PRIORITY, SETTINGS, unknown types)."""


@dataclass(slots=True)
class _Outgoing:
    """What flow control has not let out yet: the rest of a body, and what follows it."""

    stream: int
    body: memoryview
    tail: bytes


class Connection(asyncio.Protocol, Generic[Parsed]):
    """What both ends have in common. ``window`` is how many unread bytes a peer may have under way, on a stream
    and on all together; ``parse`` makes of a block's fields what :meth:`on_headers` gets."""

    def __init__(self, window: int, parse: Callable[[Fields], Parsed], settings: dict[int, int]) -> None:
        self._window = window
        self._reader = frames.FrameReader(FRAME_LIMIT)
        self._blocks = BlockReader(parse)
        self._settings = {
            frames.INITIAL_WINDOW_SIZE: window,
            frames.MAX_FRAME_SIZE: FRAME_LIMIT,
            frames.MAX_HEADER_LIST_SIZE: MAX_LIST_BYTES,
            **settings,
        }
        self.transport: asyncio.Transport
        self.is_lost = False
        self.peer = {  # what the peer has set, or the defaults (section 6.5.2)
            frames.HEADER_TABLE_SIZE: 4096,
            frames.MAX_CONCURRENT_STREAMS: 2**31,
            frames.INITIAL_WINDOW_SIZE: frames.DEFAULT_WINDOW,
            frames.MAX_FRAME_SIZE: frames.DEFAULT_FRAME,
        }
        self.has_settings = False
        self._send_window = frames.DEFAULT_WINDOW
        self._granted: dict[int, int] = {}  # of a stream with something to send: its window beyond the initial one
        self._waiting: dict[int, _Outgoing] = {}
        self._unread = 0  # bytes of DATA since the window of the connection was last opened
        self._unread_of: dict[int, int] = {}
        self._block: tuple[int, int, list[bytes]] | None = None  # of a stream, with HEADERS' flags
        self._block_bytes = 0
        self._idle_frames = 0

    # -- what a subclass says -----------------------------------------------------------------------

    @abstractmethod
    def on_headers(self, stream: int, parsed: Parsed, ends: bool) -> None:
        """A header block of a stream has arrived; ``ends``: nothing follows it."""

    @abstractmethod
    def on_data(self, stream: int, data: bytes, ends: bool) -> None:
        """A part of a body has arrived."""

    @abstractmethod
    def on_reset(self, stream: int, code: int) -> None:
        """The peer has given up a stream, which may be one that is over."""

    @abstractmethod
    def on_goaway(self, last_stream: int, text: str) -> None:
        """The peer takes no new streams, and has not worked on those after ``last_stream``; ``text`` says why."""

    @abstractmethod
    def on_settings(self) -> None:
        """The peer's settings are here, or changed."""

    def on_pong(self, payload: bytes) -> None:
        """The peer has answered to a PING of those eight bytes."""

    @abstractmethod
    def on_lost(self, reason: str) -> None:
        """The connection is gone, and every stream with it."""

    @abstractmethod
    def is_open(self, stream: int) -> bool:
        """Whether the peer may still send on the stream."""

    @abstractmethod
    def is_active(self, stream: int) -> bool:
        """Whether either side may still send on the stream."""

    @abstractmethod
    def is_idle(self, stream: int) -> bool:
        """Whether the stream has not been opened yet, by either side."""

    # -- asyncio.Protocol ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(
            frames.settings(self._settings) + frames.window_update(0, self._window - frames.DEFAULT_WINDOW)
        )

    def data_received(self, data: bytes) -> None:
        try:
            for kind, flags, stream, payload in self._reader.feed(data):
                if self.is_lost:
                    return
                if self._block is not None and (kind != frames.CONTINUATION or stream != self._block[0]):
                    raise ProtocolError(Code.PROTOCOL_ERROR, "a header block was interrupted")  # 6.10
                if not self.has_settings and kind != frames.SETTINGS:
                    raise ProtocolError(Code.PROTOCOL_ERROR, "the first frame was no SETTINGS")  # 3.4
                _ON_FRAME.get(kind, Connection._on_unknown)(self, flags, stream, payload)
        except ProtocolError as error:
            self.fail(error.code, str(error))

    def connection_lost(self, error: Exception | None) -> None:
        self._end(str(error) if error else "closed by the peer")

    def pause_writing(self) -> None:
        # Whoever does not read answers may not go on asking for them.
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    # -- sending ------------------------------------------------------------------------------------

    def send(self, stream: int, head: bytes, body: bytes, tail: bytes = b"") -> None:
        """Frames before a body, the body as DATA frames, frames after it; without ``tail`` the body ends the stream."""
        size = len(body)
        if (
            size <= self._send_window
            and not self._waiting
            and size <= self.peer[frames.INITIAL_WINDOW_SIZE] + self._granted.get(stream, 0)
            and size <= self.peer[frames.MAX_FRAME_SIZE]
        ):
            self._send_window -= size
            self._granted.pop(stream, None)
            flags = 0 if tail else frames.END_STREAM
            self.transport.write(head + frames.head(frames.DATA, flags, stream, size) + body + tail)
            return
        self.transport.write(head)
        self._waiting[stream] = _Outgoing(stream, memoryview(body), tail)
        self._flush()

    def _flush(self) -> None:
        for outgoing in list(self._waiting.values()):
            stream = outgoing.stream
            room = self.peer[frames.INITIAL_WINDOW_SIZE] + self._granted.get(stream, 0)
            size = min(self._send_window, room, len(outgoing.body))
            if size > 0:
                whole = size == len(outgoing.body)
                largest = self.peer[frames.MAX_FRAME_SIZE]
                ends = whole and not outgoing.tail
                self.transport.writelines(frames.data_frames(stream, outgoing.body[:size], largest, ends))
                self._send_window -= size
                self._granted[stream] = self._granted.get(stream, 0) - size
                outgoing.body = outgoing.body[size:]
            if not outgoing.body:
                self.forget(stream)
                self.transport.write(outgoing.tail)
            if self._send_window <= 0:
                return

    def forget(self, stream: int) -> None:
        """A stream is over: nothing more of it is sent."""
        self._waiting.pop(stream, None)
        self._granted.pop(stream, None)
        self._unread_of.pop(stream, None)

    def fail(self, code: Code, text: str) -> None:
        """Tells the peer what it did, and hangs up."""
        if not self.is_lost:
            self.transport.write(frames.goaway(self.last_stream(), code, text))
            self.hang_up(text)

    def hang_up(self, reason: str) -> None:
        """Ends the connection, after what was written to it."""
        self._end(reason)
        self.transport.close()

    def last_stream(self) -> int:
        """The newest stream that the peer opened; none for a client."""
        return 0

    def _end(self, reason: str) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._waiting.clear()
            self._granted.clear()
            self.on_lost(reason)

    # -- frames -------------------------------------------------------------------------------------

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        if stream == 0 or self.is_idle(stream):
            raise ProtocolError(Code.PROTOCOL_ERROR, "DATA on a stream that is not open")
        ends = bool(flags & frames.END_STREAM)
        size = len(payload)  # with padding (6.9.1)
        if not size and not ends:
            self._idle()
        else:
            self._idle_frames = 0
        self._unread += size
        if self._unread > self._window:
            raise ProtocolError(Code.FLOW_CONTROL_ERROR, "more bytes than the window of the connection")
        if 2 * self._unread >= self._window:
            self.transport.write(frames.window_update(0, self._unread))
            self._unread = 0
        if not self.is_open(stream):
            return  # of a stream that this side has given up: it was under way
        if ends:
            self._unread_of.pop(stream, None)
        elif size:
            unread = self._unread_of.get(stream, 0) + size
            if unread > self._window:
                raise ProtocolError(Code.FLOW_CONTROL_ERROR, "more bytes than the window of the stream")
            if 2 * unread >= self._window:
                self.transport.write(frames.window_update(stream, unread))
                unread = 0
            self._unread_of[stream] = unread
        self.on_data(stream, frames.without_padding(flags, payload) if flags & frames.PADDED else payload, ends)

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if stream == 0:
            raise ProtocolError(Code.PROTOCOL_ERROR, "HEADERS on stream 0")
        self._idle_frames = 0
        if flags & frames.PADDED:
            payload = frames.without_padding(flags, payload)
        if flags & frames.HAS_PRIORITY:
            if len(payload) < 5:
                raise ProtocolError(Code.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            payload = payload[5:]
        if flags & frames.END_HEADERS:
            self.on_headers(stream, self._blocks.read(payload), bool(flags & frames.END_STREAM))
        else:
            self._block, self._block_bytes = (stream, flags, [payload]), len(payload)

    def _on_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None:
            raise ProtocolError(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        parts = self._block[2]
        parts.append(payload)
        self._block_bytes += len(payload)
        if self._block_bytes > MAX_BLOCK_BYTES or len(parts) > MAX_IDLE_FRAMES:
            raise ProtocolError(Code.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & frames.END_HEADERS:
            ends = bool(self._block[1] & frames.END_STREAM)
            self._block = None
            self.on_headers(stream, self._blocks.read(b"".join(parts)), ends)

    def _on_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise ProtocolError(Code.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.ACK:
            if payload:
                raise ProtocolError(Code.FRAME_SIZE_ERROR, "an acknowledgement with settings")
            return
        self._idle()
        for name, value in frames.read_settings(payload):
            if name == frames.INITIAL_WINDOW_SIZE and value > frames.LARGEST_WINDOW:
                raise ProtocolError(Code.FLOW_CONTROL_ERROR, f"an initial window of {value} bytes")
            if name == frames.MAX_FRAME_SIZE and not frames.DEFAULT_FRAME <= value <= frames.LARGEST_FRAME:
                raise ProtocolError(Code.PROTOCOL_ERROR, f"frames of {value} bytes")
            if name == frames.ENABLE_PUSH and value > 1:
                raise ProtocolError(Code.PROTOCOL_ERROR, f"ENABLE_PUSH is {value}")
            if name in self.peer:
                self.peer[name] = value
        self.has_settings = True
        self.transport.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self.on_settings()
        self._flush()

    def _on_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise ProtocolError(Code.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ProtocolError(Code.FRAME_SIZE_ERROR, f"a PING of {len(payload)} bytes")
        if flags & frames.ACK:
            self.on_pong(payload)
        else:
            self.transport.write(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_window_update(self, _flags: int, stream: int, payload: bytes) -> None:
        size = frames.read_number(payload, "WINDOW_UPDATE") & 0x7FFFFFFF
        if stream == 0:
            self._send_window += size
            if not size or self._send_window > frames.LARGEST_WINDOW:
                raise ProtocolError(
                    Code.FLOW_CONTROL_ERROR if size else Code.PROTOCOL_ERROR, f"a window of {size} more"
                )
        elif self.is_idle(stream):
            raise ProtocolError(Code.PROTOCOL_ERROR, "WINDOW_UPDATE of a stream that is not open")
        elif self.is_active(stream):
            granted = self._granted.get(stream, 0) + size
            if not size or self.peer[frames.INITIAL_WINDOW_SIZE] + granted > frames.LARGEST_WINDOW:
                raise ProtocolError(
                    Code.FLOW_CONTROL_ERROR if size else Code.PROTOCOL_ERROR, f"a window of {size} more"
                )
            self._granted[stream] = granted
        if self._waiting:
            self._flush()

    def _on_rst_stream(self, _flags: int, stream: int, payload: bytes) -> None:
        code = frames.read_number(payload, "RST_STREAM")
        if stream == 0 or self.is_idle(stream):
            raise ProtocolError(Code.PROTOCOL_ERROR, "RST_STREAM of a stream that is not open")
        self.forget(stream)
        self.on_reset(stream, code)

    def _on_goaway(self, _flags: int, _stream: int, payload: bytes) -> None:
        last_stream, code, text = frames.read_goaway(payload)
        self.on_goaway(last_stream, f"{code_name(code)} {text}".rstrip())

    def _on_push_promise(self, _flags: int, _stream: int, _payload: bytes) -> None:
        raise ProtocolError(Code.PROTOCOL_ERROR, "a push, which nobody allowed")

    def _on_unknown(self, _flags: int, _stream: int, _payload: bytes) -> None:
        self._idle()  # PRIORITY is deprecated, and unknown types are to be ignored (5.3.2, 4.1)

    def _idle(self) -> None:
        self._idle_frames += 1
        if self._idle_frames > MAX_IDLE_FRAMES:
            raise ProtocolError(Code.ENHANCE_YOUR_CALM, "frames that carry nothing")


_ON_FRAME: dict[int, Callable[..., None]] = {
    frames.DATA: Connection._on_data,
    frames.HEADERS: Connection._on_headers,
    frames.RST_STREAM: Connection._on_rst_stream,
    frames.SETTINGS: Connection._on_settings,
    frames.PUSH_PROMISE: Connection._on_push_promise,
    frames.PING: Connection._on_ping,
    frames.GOAWAY: Connection._on_goaway,
    frames.WINDOW_UPDATE: Connection._on_window_update,
    frames.CONTINUATION: Connection._on_continuation,
}

"""Run one HTTP/2 connection over an asyncio transport: its frames and settings, for a client or a server.

Subclasses handle the streams. Rules are those of RFC 9113, cited by section. Where the RFC leaves a limit to the
implementation, the limit here ensures that no peer can make this side store or do more than it announced.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Generic, cast

from serving.http2 import frames
from serving.http2.budget import Budget
from serving.http2.frames import Code, Http2Error, StreamError, code_name
from serving.http2.header_blocks import (
    DEFAULT_TABLE,
    MAX_BLOCK_BYTES,
    MAX_LIST_BYTES,
    BlockReader,
    Fields,
    Parsed,
    size_update,
)
from serving.http2.incoming import Incoming
from serving.http2.outgoing import Outgoing

log = logging.getLogger(__name__)

FRAME_LIMIT = 2**20
"""Largest payload of a peer's frame in bytes, so that large bodies need few frames."""
MAX_BLOCK_FRAMES = 1000
"""Frames per header block: a limit for CONTINUATION frames without content."""
MAX_IDLE_FRAMES = 10_000
"""Frames per minute without content or answer: empty DATA, PRIORITY, unknown types, frames of ended streams.
A client that sends PRIORITY with each of 100 requests a second stays below it."""
MAX_CONTROL_FRAMES = 10_000
"""PING and SETTINGS per minute. gRPC's clients send about ten PINGs a second while they measure a connection."""
LINGER_S = 2.0
"""Seconds for a peer to close the connection after this side has, or to read more of the bytes sent before."""


class Connection(asyncio.Protocol, Generic[Parsed]):
    """The common part of both ends. ``window`` is the number of bytes that a peer may send before this side reads
    them, ``of_stream`` the same for one stream; ``parse`` turns a block's fields into :meth:`on_headers`' argument."""

    largest_push = 1  # of SETTINGS_ENABLE_PUSH

    def __init__(
        self, window: int, of_stream: int, parse: Callable[[Fields], Parsed], settings: dict[int, int]
    ) -> None:
        self._reader = frames.FrameReader(FRAME_LIMIT)
        self._blocks = BlockReader(parse)
        self._settings = {
            frames.INITIAL_WINDOW_SIZE: of_stream,
            frames.MAX_FRAME_SIZE: FRAME_LIMIT,
            frames.MAX_HEADER_LIST_SIZE: MAX_LIST_BYTES,
            **settings,
        }
        self.transport: asyncio.Transport
        self.is_lost = False
        self.table_size = DEFAULT_TABLE  # the peer's limit, at most the default
        self.table_update = b""  # the start of the next header block
        self.max_streams = 2**31  # number of streams that this side may have open
        self.has_settings = False
        self.outgoing = Outgoing()
        self.incoming = Incoming(window, of_stream)
        self._block: tuple[int, int, list[bytes]] | None = None  # stream, flags of HEADERS, parts
        self._block_bytes = 0
        self._idle = Budget(MAX_IDLE_FRAMES, "frames without content")
        self._control = Budget(MAX_CONTROL_FRAMES, "PING and SETTINGS")
        self._lingering: asyncio.TimerHandle | None = None

    # -- methods of a subclass ----------------------------------------------------------------------

    @abstractmethod
    def on_headers(self, stream: int, parsed: Parsed, ends: bool) -> None:
        """Handle a header block of a stream; ``ends`` says that it ends the stream."""

    @abstractmethod
    def on_data(self, stream: int, data: bytes, ends: bool) -> None:
        """Handle a part of a body."""

    @abstractmethod
    def on_data_after_all(self, stream: int) -> None:
        """Handle DATA on a stream that was opened before and from which no more data is expected."""

    @abstractmethod
    def on_reset(self, stream: int, code: int) -> None:
        """Handle the peer's reset of a stream, which may have ended already."""

    @abstractmethod
    def on_stream_error(self, error: StreamError) -> None:
        """Handle the peer's error on a stream; the peer has already been told."""

    @abstractmethod
    def on_goaway(self, last_stream: int, text: str) -> None:
        """Handle the peer's GOAWAY: it takes no new streams and did not process those after ``last_stream``."""

    def on_settings(self) -> None:
        """Handle the peer's settings, when they arrive or change."""

    def on_pong(self, payload: bytes) -> None:
        """Handle the peer's answer to a PING with these eight bytes."""

    def on_room(self) -> None:
        """Continue, because waiting bytes may have been sent."""

    @abstractmethod
    def on_lost(self, reason: str) -> None:
        """Handle the end of the connection and of all its streams."""

    @abstractmethod
    def is_open(self, stream: int) -> bool:
        """Return True if the peer may still send on the stream."""

    @abstractmethod
    def is_active(self, stream: int) -> bool:
        """Return True if this side may still send on the stream."""

    @abstractmethod
    def is_idle(self, stream: int) -> bool:
        """Return True if neither side has opened the stream yet."""

    def wants_more(self, _stream: int) -> bool:
        """Return True if the window of the stream may be opened again."""
        return True

    # -- asyncio.Protocol ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.outgoing.begin(self.transport)
        self.outgoing.write(frames.settings(self._settings) + self.incoming.first_update())

    def data_received(self, data: bytes) -> None:
        if self.is_lost:
            return
        try:
            for kind, flags, stream, payload in self._reader.feed(data):
                if self._block is not None and (kind != frames.CONTINUATION or stream != self._block[0]):
                    raise Http2Error(Code.PROTOCOL_ERROR, "a header block was interrupted")  # 6.10
                if not self.has_settings and (kind != frames.SETTINGS or flags & frames.ACK):
                    raise Http2Error(Code.PROTOCOL_ERROR, "the first frame was not SETTINGS")  # 3.4
                try:
                    _ON_FRAME.get(kind, Connection._on_unknown)(self, flags, stream, payload)
                except StreamError as error:
                    self.reset(error.stream, error.code)
                    self.on_stream_error(error)
                if self.is_lost:
                    return
        except Http2Error as error:
            self.fail(error.code, str(error))

    def connection_lost(self, error: Exception | None) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
        self._end(str(error) if error else "closed by the peer")

    # -- sending ------------------------------------------------------------------------------------

    def reset(self, stream: int, code: int) -> None:
        """End a stream at once, in both directions."""
        self.forget(stream)
        self.outgoing.write(frames.reset(stream, code))

    def forget(self, stream: int) -> None:
        """Forget an ended stream: nothing more of it is sent or expected."""
        self.outgoing.forget(stream)
        self.incoming.forget(stream)

    def fail(self, code: Code, text: str) -> None:
        """Tell the peer its error, and close the connection."""
        if not self.is_lost:
            log.debug("%s: %s: %s", self.transport.get_extra_info("peername"), code.name, text)
            self.outgoing.write(frames.goaway(self.last_stream(), code, text))
            self.hang_up(text)

    def hang_up(self, reason: str) -> None:
        """End the connection, after sending all bytes already written.

        This side stops writing and waits until the peer does too. If it closed the socket at once, TCP would answer
        the peer's next byte with a reset, and the peer would lose bytes that it has not read yet.
        """
        self._end(reason)
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.transport.resume_reading()  # to notice the peer's end
        else:  # TLS has a closing handshake of its own
            self.transport.close()
        self._linger(-1)

    def _linger(self, unsent: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left == unsent or (unsent >= 0 and not left):
            self.transport.abort()
        else:
            loop = asyncio.get_running_loop()
            self._lingering = loop.call_later(LINGER_S, self._linger, left)

    def last_stream(self) -> int:
        """Return the newest stream that the peer opened; 0 for a client."""
        return 0

    def _end(self, reason: str) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.outgoing.end()
            self.on_lost(reason)

    # -- frames -------------------------------------------------------------------------------------

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        if stream == 0 or self.is_idle(stream):
            raise Http2Error(Code.PROTOCOL_ERROR, "DATA on a stream that is not open")
        ends = bool(flags & frames.END_STREAM)
        size = len(payload)  # padding counts (6.9.1)
        if not size and not ends:
            self._idle.spend()
        if update := self.incoming.received(size):
            self.outgoing.write(update)
        if flags & frames.PADDED:
            payload = frames.without_padding(flags, payload)
        if not self.is_open(stream):
            self._idle.spend()
            self.on_data_after_all(stream)
            return
        if ends:
            if self.incoming.unread_of:  # a single frame never exceeds a window
                self.incoming.ended(stream, size)
        elif update := self.incoming.received_of(stream, size, self.wants_more):
            self.outgoing.write(update)
        self.on_data(stream, payload, ends)

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if stream == 0:
            raise Http2Error(Code.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & frames.PADDED:
            payload = frames.without_padding(flags, payload)
        if flags & frames.HAS_PRIORITY:
            if len(payload) < 5:
                code = Code.PROTOCOL_ERROR if flags & frames.PADDED else Code.FRAME_SIZE_ERROR
                raise Http2Error(code, "HEADERS too short for its priority")
            payload = payload[5:]
        if flags & frames.END_HEADERS:
            self.on_headers(stream, self._blocks.read(payload), bool(flags & frames.END_STREAM))
        else:
            self._block, self._block_bytes = (stream, flags, [payload]), len(payload)

    def _on_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None:
            raise Http2Error(Code.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        parts = self._block[2]
        parts.append(payload)
        self._block_bytes += len(payload)
        if self._block_bytes > MAX_BLOCK_BYTES or len(parts) > MAX_BLOCK_FRAMES:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & frames.END_HEADERS:
            ends = bool(self._block[1] & frames.END_STREAM)
            self._block = None
            self.on_headers(stream, self._blocks.read(b"".join(parts)), ends)

    def _on_priority(self, _flags: int, stream: int, payload: bytes) -> None:
        # PRIORITY is deprecated and has no effect here, but its form is still checked (6.3).
        self._idle.spend()
        if stream == 0:
            raise Http2Error(Code.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            if self.is_idle(stream):  # an idle stream cannot be reset
                raise Http2Error(Code.FRAME_SIZE_ERROR, f"a PRIORITY frame of {len(payload)} bytes")
            raise StreamError(stream, Code.FRAME_SIZE_ERROR, f"a PRIORITY frame of {len(payload)} bytes")

    def _on_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Http2Error(Code.PROTOCOL_ERROR, "SETTINGS on a stream")
        self._control.spend(1 + len(self.outgoing.waiting) // 16)  # a new window touches all waiting streams
        if flags & frames.ACK:
            if payload:
                raise Http2Error(Code.FRAME_SIZE_ERROR, "an acknowledgement with settings")
            return
        for name, value in frames.read_settings(payload):
            if name in _ON_SETTING:
                _ON_SETTING[name](self, value)
        self.has_settings = True
        self.outgoing.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self.outgoing.go_on()  # only now: some peers keep the old window until they get the acknowledgement
        self.on_settings()
        self.on_room()

    def _set_table_size(self, value: int) -> None:
        """Announce a smaller table at the start of the next block, before it is used (RFC 7541, 4.2)."""
        size = min(value, DEFAULT_TABLE)
        if size < self.table_size:
            self.table_update = size_update(size)
            self.table_size = size  # it never grows again, because the blocks here are small

    def _set_push(self, value: int) -> None:
        if value > self.largest_push:
            raise Http2Error(Code.PROTOCOL_ERROR, f"ENABLE_PUSH is {value}")

    def _set_max_streams(self, value: int) -> None:
        self.max_streams = value

    def _set_initial_window(self, value: int) -> None:
        self.outgoing.set_initial(value)

    def _set_largest_frame(self, value: int) -> None:
        if not frames.DEFAULT_FRAME <= value <= frames.LARGEST_FRAME:
            raise Http2Error(Code.PROTOCOL_ERROR, f"frames of {value} bytes")
        self.outgoing.largest_frame = value

    def _on_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Http2Error(Code.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise Http2Error(Code.FRAME_SIZE_ERROR, f"a PING of {len(payload)} bytes")
        self._control.spend()
        if flags & frames.ACK:
            self.on_pong(payload)
        else:
            self.outgoing.write(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_window_update(self, _flags: int, stream: int, payload: bytes) -> None:
        size = frames.read_number(payload, "WINDOW_UPDATE") & 0x7FFFFFFF
        if stream == 0:
            self.outgoing.widen(size)
        elif self.is_idle(stream):
            raise Http2Error(Code.PROTOCOL_ERROR, "WINDOW_UPDATE of a stream that is not open")
        elif self.is_active(stream):
            self.outgoing.widen_stream(stream, size)
        else:
            return  # the peer sent it before it saw the end of the stream
        self.on_room()

    def _on_rst_stream(self, _flags: int, stream: int, payload: bytes) -> None:
        code = frames.read_number(payload, "RST_STREAM")
        if stream == 0 or self.is_idle(stream):
            raise Http2Error(Code.PROTOCOL_ERROR, "RST_STREAM of a stream that is not open")
        self.forget(stream)
        self.on_reset(stream, code)

    def _on_goaway(self, _flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Http2Error(Code.PROTOCOL_ERROR, "GOAWAY on a stream")
        self._control.spend()
        last_stream, code, text = frames.read_goaway(payload)
        self.on_goaway(last_stream, f"{code_name(code)} {text}".rstrip())

    def _on_push_promise(self, _flags: int, _stream: int, _payload: bytes) -> None:
        raise Http2Error(Code.PROTOCOL_ERROR, "PUSH_PROMISE, which this side has not allowed")

    def _on_unknown(self, _flags: int, _stream: int, _payload: bytes) -> None:
        self._idle.spend()  # ignored, as required by 4.1


_ON_FRAME: dict[int, Callable[..., None]] = {
    frames.DATA: Connection._on_data,
    frames.HEADERS: Connection._on_headers,
    frames.PRIORITY: Connection._on_priority,
    frames.RST_STREAM: Connection._on_rst_stream,
    frames.SETTINGS: Connection._on_settings,
    frames.PUSH_PROMISE: Connection._on_push_promise,
    frames.PING: Connection._on_ping,
    frames.GOAWAY: Connection._on_goaway,
    frames.WINDOW_UPDATE: Connection._on_window_update,
    frames.CONTINUATION: Connection._on_continuation,
}
_ON_SETTING: dict[int, Callable[..., None]] = {
    frames.HEADER_TABLE_SIZE: Connection._set_table_size,
    frames.ENABLE_PUSH: Connection._set_push,
    frames.MAX_CONCURRENT_STREAMS: Connection._set_max_streams,
    frames.INITIAL_WINDOW_SIZE: Connection._set_initial_window,
    frames.MAX_FRAME_SIZE: Connection._set_largest_frame,
}

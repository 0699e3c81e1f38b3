"""One HTTP connection of uvicorn's, with limits on the head of a request, and on what follows a refusal."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.limits import LINGER_BYTES, LINGER_S

HEAD_S = 10.0
"""So long the head of a request may take from its first byte on."""
MAX_HEAD_BYTES = 65_536


class TimedConnection(HttpToolsProtocol):
    """Closes a connection on which a head, or nothing, is sent for too long: uvicorn stops its clock at the first byte.

    A silent connection has uvicorn's ``timeout_keep_alive``, from its beginning and from each answer. The rest of a
    request that was answered early is dropped, for :data:`LINGER_S` and :data:`LINGER_BYTES`: if the socket were closed
    at once, TCP would reset it, and a client that is still sending would lose the answer.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]  # it has all of a transport
        self._head_bytes = 0
        self._dropped = 0  # bytes of a request after its answer
        self._is_in_body = self._is_refused = self.lingers = False
        self._start_clock(self.timeout_keep_alive)

    def _start_clock(self, seconds: float) -> None:
        super()._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """Let the clock run on: uvicorn calls this for every byte."""

    def on_message_begin(self) -> None:
        self._start_clock(HEAD_S)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        self._is_in_body = True
        super()._unset_keepalive_if_required()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_body, self._dropped = False, 0
        if self.cycle.response_complete:
            self._start_clock(self.timeout_keep_alive)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        clock = self.timeout_keep_alive_task  # of a head that has begun before this answer
        super().on_response_complete()
        if self._was_answered_early():
            self._start_clock(LINGER_S)
        elif clock is not None:
            super()._unset_keepalive_if_required()  # the one that uvicorn has started instead
            self.timeout_keep_alive_task = clock

    def connection_lost(self, exc: Exception | None) -> None:
        super()._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.lingers or self._was_answered_early():
            self._dropped += len(data)
            if self._dropped > LINGER_BYTES:
                self.transport.abort()
                return
        elif self.timeout_keep_alive_task is not None:
            self._head_bytes += len(data)
        if self.lingers:
            return
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and self.timeout_keep_alive_task is not None:
            self.send_400_response(f"The head of a request may have {MAX_HEAD_BYTES} bytes.")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP in the form of every other error, and close the connection."""
        if self.transport.is_closing():
            return
        if not self._was_answered_early():  # a request gets one answer
            body = f'{{"error":"{msg}"}}'
            head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            self.transport.write(f"{head}connection: close\r\n\r\n{body}".encode())
        self._is_refused = True
        self.transport.close()

    def _was_answered_early(self) -> bool:
        return self._is_in_body and self.cycle is not None and self.cycle.response_complete

    def may_still_send(self) -> bool:
        """Tell if the client may still be sending a request, and so may not have read the answer to it."""
        return self._is_refused or self._was_answered_early()

    def linger(self) -> None:
        """Drop what arrives, until the client closes the connection or the time is over."""
        self.lingers = True
        self._start_clock(LINGER_S)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the rest of its body will not be read
            self.cycle.message_event.set()

    def timeout_keep_alive_handler(self) -> None:
        if self.lingers or self._was_answered_early():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()


class _Lingering:
    """A transport whose :meth:`close` lets the client read the last answer first."""

    def __init__(self, transport: asyncio.Transport, connection: TimedConnection) -> None:
        self._transport, self._connection = transport, connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._connection.lingers or self._transport.is_closing()

    def close(self) -> None:
        if not self._connection.may_still_send():
            self._transport.close()
        elif not self.is_closing():
            self._connection.linger()
            self._transport.write_eof()
            self._transport.resume_reading()

"""One HTTP connection of uvicorn's, with limits on the head of a request."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 10.0
"""So long the head of a request may take from its first byte on."""
MAX_HEAD_BYTES = 65_536


class Connection(HttpToolsProtocol):
    """Closes a connection on which a head, or nothing, is sent for too long: uvicorn stops its clock at the first byte.

    A silent connection has uvicorn's ``timeout_keep_alive``, from its beginning and from each answer.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        self._head_bytes = 0
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
        super()._unset_keepalive_if_required()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        clock = self.timeout_keep_alive_task  # of a head that has begun before this answer
        super().on_response_complete()
        if clock is not None:
            super()._unset_keepalive_if_required()  # the one that uvicorn has started instead
            self.timeout_keep_alive_task = clock

    def connection_lost(self, exc: Exception | None) -> None:
        super()._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and self.timeout_keep_alive_task is not None:
            self.send_400_response(f"The head of a request may have {MAX_HEAD_BYTES} bytes.")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP in the form of every other error, and close the connection."""
        if self.transport.is_closing():
            return
        body = f'{{"error":"{msg}"}}'
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n{body}".encode())
        self.transport.close()

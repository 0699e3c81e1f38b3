"""Puts TLS between a protocol and its stamped socket: the time of arrival stays the kernel's.

asyncio's own TLS cannot be used, because its transports know no such time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

from pipelines.loadtest.generator.sockets import StampedTransport

RECORD_BYTES = 16 * 1024
"""The largest piece that TLS hands over at once (RFC 8446, 5.1)."""


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """Is the protocol of the socket below, and the transport of the protocol ``above`` once ``ready`` is done.

    If the handshake fails, or the server does not choose ``alpn``, ``ready`` raises OSError, and the protocol above
    learns of nothing.
    """

    def __init__(self, above: asyncio.Protocol, context: ssl.SSLContext, name: str, alpn: str | None) -> None:
        super().__init__()
        self._above, self._alpn = above, alpn
        self._below: StampedTransport
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_hostname=name)
        self._is_open = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def received_ns(self) -> int:
        """When the newest bytes had arrived; see :class:`StampedTransport`."""
        return self._below.received_ns

    # -- the protocol of the socket -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = cast(StampedTransport, transport)
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        self._arrived.write(data)
        if not self._is_open:
            self._shake_hands()
        if self._is_open:
            self._read()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # the alert tells the server why
            self._refuse(_text(error))
        else:
            self._flush()
            chosen = self._tls.selected_alpn_protocol()
            if self._alpn and chosen != self._alpn:
                self._refuse(f"TLS: the server chose {chosen or 'no protocol'} (ALPN), not {self._alpn}")
            elif not self.ready.done():  # it may have been cancelled
                self._is_open = True
                self._above.connection_made(self)
                self.ready.set_result(None)

    def _refuse(self, text: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(OSError(text))
        self._below.close()

    def _read(self) -> None:
        pieces: list[bytes] = []
        failure: ssl.SSLError | None = None
        ended = False
        try:
            while piece := self._tls.read(RECORD_BYTES):
                pieces.append(piece)
            ended = True
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            failure = error
        self._flush()  # TLS itself may have an answer, for example to a new key
        if pieces:
            self._above.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if failure is not None:
            self._is_open = False
            self._below.abort()
            self._above.connection_lost(OSError(_text(failure)))
        elif ended and not self._below.is_closing() and not self._above.eof_received():
            self.close()

    def eof_received(self) -> bool | None:
        return self._above.eof_received() if self._is_open else None

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(error or OSError("TLS: the server closed the connection within the handshake"))
        elif self._is_open:
            self._is_open = False
            self._above.connection_lost(error)

    def pause_writing(self) -> None:
        if self._is_open:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._is_open:
            self._above.resume_writing()

    # -- the transport of the protocol above --------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._below.is_closing():
            return
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        self._flush()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def _flush(self) -> None:
        if self._leaving.pending:
            self._below.write(self._leaving.read())

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._below.resume_reading()

    def is_reading(self) -> bool:
        return self._below.is_reading()

    def is_closing(self) -> bool:
        return self._below.is_closing()

    def close(self) -> None:
        """Closes when what was written has been sent; tells the server so first."""
        if not self._below.is_closing():
            with suppress(ssl.SSLError):  # it waits for the server's own end, which nobody needs any more
                self._tls.unwrap()
            self._flush()
            self._below.close()

    def abort(self) -> None:
        self._below.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._below.get_extra_info(name, default)


def _text(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"TLS: the server's certificate is not trusted: {error.verify_message}. "
            "Name the authority's certificate with --ca, or turn the check off with --insecure"
        )
    reason = (error.reason or str(error)).replace("_", " ").lower()
    return f"TLS: {reason}" + (": does the server speak TLS?" if error.reason in NO_TLS else "")


NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""OpenSSL's reasons when the first bytes of the server are no TLS at all."""

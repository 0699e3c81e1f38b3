"""Check that a gRPC server listens, by an exchange in HTTP/2: a container's port proxy accepts any connection."""

from __future__ import annotations

import socket

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, section 3.4
_SETTINGS = b"\0\0\0\x04\0\0\0\0\0"  # an empty SETTINGS frame: length 0, type 4, no flags, stream 0
_FRAME_HEADER_BYTES = 9
_TIMEOUT_S = 5.0


def speaks_http2(host: str, port: int) -> bool:
    """Return True if the first frame received is an HTTP/2 SETTINGS frame. Raises OSError if nothing answers."""
    with socket.create_connection((host, port), timeout=_TIMEOUT_S) as connection:
        connection.sendall(_PREFACE + _SETTINGS)
        received = b""
        while len(received) < _FRAME_HEADER_BYTES:
            more = connection.recv(_FRAME_HEADER_BYTES - len(received))
            if not more:
                return False
            received += more
    return received[3] == 0x04

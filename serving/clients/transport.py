"""Send one request and wait for its answer: HTTP/1.1 or gRPC, bytes in and bytes out."""

from __future__ import annotations

import http.client
import time
from urllib.parse import urlsplit

from serving.clients import Call, ProtocolError
from serving.wire.addresses import host_port

MAX_ANSWER_BYTES = 256 * 1024 * 1024


class Unreachable(Exception):
    """Nothing answered at the address, or the connection broke."""


class Refused(ProtocolError):
    """The server answered with an error; ``status`` is the HTTP code or the gRPC status name."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def send(call: Call, body: bytes, timeout_s: float = 30.0) -> bytes:
    """Send one request and return the response body.

    Raises:
        Unreachable: no connection, a broken connection or no answer within ``timeout_s``.
        Refused: an HTTP status other than 200, or a gRPC status other than OK.
    """
    scheme, address = split_url(call.url)
    return _SENDERS[scheme](call, address, body, timeout_s)


def split_url(url: str) -> tuple[str, str]:
    """Split a server's address into scheme and ``HOST:PORT``.

    Raises Unreachable for an invalid address: another scheme, no port, a path, a user name.
    """
    try:
        parts = urlsplit(url)
        extra = parts.path.strip("/") or parts.query or parts.username or parts.password
        if parts.scheme in _SENDERS and parts.hostname and parts.port and not extra:
            parts.hostname.encode("idna")
            return parts.scheme, host_port(parts.hostname, parts.port)
    except ValueError:  # an invalid port, an unclosed bracket, an invalid host name
        pass
    shown = url.rpartition("@")[2]  # the text before an @ may contain a password
    raise Unreachable(f"not an address of the form http://HOST:PORT or grpc://HOST:PORT. Received: {shown}")


def _send_http(call: Call, address: str, body: bytes, timeout_s: float) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request("POST", call.path, body=body, headers=dict(call.headers))
        response = connection.getresponse()
        answer = _read(response, time.monotonic() + timeout_s)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"http://{address}{call.path}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise Refused(str(response.status), answer[:500].decode("utf-8", "replace").strip())
    return answer


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """Read the whole body. Raises OSError if it is too long, or not complete by the deadline."""
    parts, size = [], 0
    while part := response.read1(65_536):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise OSError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer was not complete in time")
    if response.length:  # read1 does not report a body that ends early
        raise http.client.IncompleteRead(b"".join(parts), response.length)
    return b"".join(parts)


def _send_grpc(call: Call, address: str, body: bytes, timeout_s: float) -> bytes:
    import grpc

    # A server under test is addressed directly, without the environment's HTTP proxy.
    with grpc.insecure_channel(
        address, options=[("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
    ) as channel:
        method = channel.unary_unary(call.path)
        try:
            return method(body, timeout=timeout_s, metadata=tuple(call.headers.items()))
        except grpc.RpcError as error:
            code = error.code()
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise Unreachable(f"grpc://{address}{call.path}: {error.details()}") from error
            raise Refused(code.name, error.details() or "") from error


_SENDERS = {"http": _send_http, "grpc": _send_grpc}

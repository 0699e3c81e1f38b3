"""Sends one request and waits for its answer: HTTP/1.1 or gRPC, bytes in and bytes out."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from serving.clients import Call, ProtocolError


class Unreachable(Exception):
    """Nothing answered at the address, or the connection broke."""


class Refused(ProtocolError):
    """The server answered with an error; ``status`` is the HTTP code or the gRPC status name."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def send(call: Call, body: bytes, timeout_s: float = 30.0) -> bytes:
    """The response body of one request.

    Raises:
        Unreachable: no connection, a broken connection or no answer within ``timeout_s``.
        Refused: an HTTP status other than 200, or a gRPC status other than OK.
    """
    parts = urlsplit(call.url)
    if parts.scheme not in _SENDERS or not parts.hostname or not parts.port:
        raise Unreachable(f"not an address of the form http://HOST:PORT or grpc://HOST:PORT. Received: {call.url}")
    return _SENDERS[parts.scheme](call, f"{parts.hostname}:{parts.port}", body, timeout_s)


def _send_http(call: Call, address: str, body: bytes, timeout_s: float) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request("POST", call.path, body=body, headers=dict(call.headers))
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"http://{address}{call.path}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise Refused(str(response.status), answer[:500].decode("utf-8", "replace").strip())
    return answer


def _send_grpc(call: Call, address: str, body: bytes, timeout_s: float) -> bytes:
    import grpc

    # Proxies are for the outside world; a server under test is addressed directly.
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

"""Asks a running server over its own ports if it can predict.

Standard library only: in a container this is asked every few seconds, by a process of its own.
"""

from __future__ import annotations

import http.client
import socket

_TIMEOUT_S = 5.0


def is_ready(model: str, host: str, rest_port: int, grpc_port: int) -> bool:
    """Tell if the model is ready over REST, and the gRPC port listens.

    Raises:
        OSError: nothing answers yet.
    """
    connection = http.client.HTTPConnection(host, rest_port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", f"/v2/models/{model}/ready")
        response = connection.getresponse()
        response.read()
    except http.client.HTTPException as error:
        raise OSError(f"KServe's REST port: {error}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        return False
    with socket.create_connection((host, grpc_port), timeout=_TIMEOUT_S):
        return True

"""Asks a running TorchServe for its keys, and if a worker has loaded the model.

Standard library only: in a container this is asked every few seconds, by a process of its own.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
KEY_FILE = "key_file.json"  # TorchServe writes it into its working folder
_TIMEOUT_S = 5.0


def key(workdir: Path, kind: str) -> str:
    """Return the key of ``kind`` (inference or management). Raises OSError as long as TorchServe has not written it."""
    try:
        return str(json.loads((workdir / KEY_FILE).read_text())[kind]["key"])
    except ValueError as error:
        raise OSError(f"{KEY_FILE} is not complete yet") from error


def manage(
    method: str, path: str, management_port: int, workdir: Path, timeout_s: float = _TIMEOUT_S
) -> tuple[int, str]:
    """Ask the management API, within ``timeout_s`` seconds; the status and the text of its answer.

    Raises:
        OSError: nothing answers yet.
    """
    connection = http.client.HTTPConnection(LOOPBACK, management_port, timeout=timeout_s)
    try:
        headers = {"Authorization": f"Bearer {key(workdir, 'management')}"}
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except http.client.HTTPException as error:
        raise OSError(f"TorchServe's management API: {error}") from error
    finally:
        connection.close()


def workers(model: str, management_port: int, workdir: Path, version: int | None = None) -> list[dict[str, Any]]:
    """Return the workers of the model, or of one version, as the management API describes them; none if it has none.

    Raises:
        OSError: nothing answers yet.
    """
    path = f"/models/{model}" + (f"/{version}" if version is not None else "")
    status, body = manage("GET", path, management_port, workdir)
    if status != http.HTTPStatus.OK:
        return []
    found: list[dict[str, Any]] = json.loads(body)[0]["workers"]
    return found


def is_ready(model: str, management_port: int, workdir: Path) -> bool:
    """Tell if a worker has loaded the model; ``/ping`` answers long before that.

    Raises:
        OSError: nothing answers yet.
    """
    return any(worker["status"] == "READY" for worker in workers(model, management_port, workdir))


def accepts(host: str, port: int) -> bool:
    """Connect, and return True. Raises OSError when nobody listens."""
    with socket.create_connection((host, port), timeout=_TIMEOUT_S):
        return True

"""Remove a session's containers if slipway was killed: ``guard.py SESSION``.

Standard input is a pipe from the slipway that started it. If bytes arrive before the pipe closes, slipway
has cleaned up and there is nothing to do. If the pipe closes without any, slipway was killed.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

LABEL = "slipway.session"
LIMIT_S = 15.0


def remove(session: str) -> None:
    """Remove the session's containers, and wait for one that is still being created."""
    import docker
    from docker.errors import NotFound

    client = docker.from_env()
    deadline = time.monotonic() + LIMIT_S
    removed = False
    while not removed and time.monotonic() < deadline:
        for container in client.containers.list(all=True, filters={"label": f"{LABEL}={session}"}, ignore_removed=True):
            with suppress(NotFound):
                container.remove(force=True, v=True)
            removed = True
        time.sleep(0.0 if removed else 0.2)


if __name__ == "__main__" and not sys.stdin.buffer.read():
    remove(sys.argv[1])

"""Label each container with its owner, and remove containers whose owner has ended.

There are three safety nets. :class:`serving.container.server.ContainerServer` removes its container
when its block ends or fails. If slipway is killed, its guard (``guard.py``) sees the pipe between
them close, and removes the container. If the guard was killed too, or the engine was down, the next
slipway that starts a container removes those whose owner has ended (:func:`reap`).
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from docker import DockerClient

OWNER = "slipway.owner"
MACHINE = "slipway.machine"
SESSION = "slipway.session"
_CLOCK_S = 5.0
"""Tolerance of a process's start time: it is computed from the boot time, which moves when the clock is set."""


def labels(session: str) -> dict[str, str]:
    """Return the labels for a container that this process starts."""
    me = psutil.Process()
    return {OWNER: f"{me.pid}:{me.create_time():.2f}", MACHINE: machine(), SESSION: session}


def machine() -> str:
    """Identify this machine, its current boot and its process namespace: process ids have a meaning only there."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {psutil.boot_time():.0f}"


def owner_is_gone(owner: str) -> bool:
    """Return True if the process that a label names has ended."""
    number, _, created = owner.partition(":")
    try:
        process = psutil.Process(int(number))
        alive = process.status() != psutil.STATUS_ZOMBIE
        return not alive or abs(process.create_time() - float(created)) > _CLOCK_S
    except psutil.NoSuchProcess:
        return True
    except (ValueError, psutil.AccessDenied):
        return False  # not a label of ours, or another user's process


def reap(client: DockerClient) -> list[str]:
    """Remove this machine's containers whose owner has ended; return their names. Raises DockerException."""
    from docker.errors import NotFound

    gone = []
    for container in client.containers.list(all=True, filters={"label": f"{MACHINE}={machine()}"}, ignore_removed=True):
        if container.labels.get(OWNER) and owner_is_gone(container.labels[OWNER]):
            with suppress(NotFound):  # its guard has already removed it
                container.remove(force=True, v=True)
                gone.append(str(container.name))
    return gone

"""Whose a container is, so that none outlives its slipway: labels, and what is done about orphans.

Three nets, one below the other. :class:`serving.container.server.ContainerServer` removes what it
started, however its block ends. Where slipway is killed, its guard (``guard.py``) sees the pipe
between them close and removes the container. Where the guard was killed too, or the engine was down,
the next slipway that starts a container removes those whose owner is gone (:func:`reap`).
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
"""A process's start is counted from the machine's, which moves when its clock is set."""


def labels(session: str) -> dict[str, str]:
    """The labels of a container that this process starts."""
    me = psutil.Process()
    return {OWNER: f"{me.pid}:{me.create_time():.2f}", MACHINE: machine(), SESSION: session}


def machine() -> str:
    """This machine since its start, as far as its process numbers mean something: others cannot judge them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {psutil.boot_time():.0f}"


def owner_is_gone(owner: str) -> bool:
    """Whether the process that a label names has ended."""
    number, _, created = owner.partition(":")
    try:
        process = psutil.Process(int(number))
        alive = process.status() != psutil.STATUS_ZOMBIE
        return not alive or abs(process.create_time() - float(created)) > _CLOCK_S
    except psutil.NoSuchProcess:
        return True
    except (ValueError, psutil.AccessDenied):
        return False  # not a label of ours, or not ours to judge


def reap(client: DockerClient) -> list[str]:
    """Remove the containers of this machine whose owner is gone; their names. Raises DockerException."""
    from docker.errors import NotFound

    gone = []
    for container in client.containers.list(all=True, filters={"label": f"{MACHINE}={machine()}"}, ignore_removed=True):
        if container.labels.get(OWNER) and owner_is_gone(container.labels[OWNER]):
            with suppress(NotFound):  # its guard was quicker
                container.remove(force=True, v=True)
                gone.append(str(container.name))
    return gone

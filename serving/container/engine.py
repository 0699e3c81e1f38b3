"""The Docker engine of this machine: found, or said in one line why there is none and what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from serving.container.recipe import CannotStart
from serving.extras import install_command

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_HOST = "unix:///var/run/docker.sock"
ENGINE_TIMEOUT_S = 60

_ADVICE = (
    (PermissionError, "Join the group docker (then log in again), or run a rootless engine and set DOCKER_HOST"),
    (FileNotFoundError, "Install Docker Engine and start it, or set DOCKER_HOST to where one listens"),
    (ConnectionRefusedError, "Start the daemon (systemctl start docker), or set DOCKER_HOST to where one listens"),
)
_OTHERWISE = "Check DOCKER_HOST and that the daemon runs"


class EngineMissing(CannotStart):
    """No Docker engine that answers, or no SDK to ask it."""


def address() -> str:
    """Where the engine listens: DOCKER_HOST, or Docker's own default."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_HOST


def connect() -> DockerClient:
    """A client of the engine that answered a moment ago; the caller closes it. Raises EngineMissing."""
    try:
        import docker
        from docker.errors import DockerException
    except ModuleNotFoundError as error:
        raise EngineMissing(
            f"the Docker SDK for Python is not installed. Run: {install_command('containers')}"
        ) from error
    try:
        client = docker.from_env(timeout=ENGINE_TIMEOUT_S)
        client.ping()
    except (DockerException, OSError, ValueError) as error:  # ValueError: a DOCKER_HOST that is no address
        reason, advice = _why(error)
        raise EngineMissing(f"no Docker engine answers at {address()}: {reason}. {advice}.") from error
    return client


def _why(error: BaseException) -> tuple[str, str]:
    """The operating system's reason below the libraries' wrappings, and what to do about it."""
    for cause in _causes(error):
        for kind, advice in _ADVICE:
            if isinstance(cause, kind):
                return cause.strerror or type(cause).__name__, advice
    text = " ".join(str(error).split())
    refused = re.search(r"\[Errno \d+\] ([^'\")]+)", text)
    if refused and "refused" in text:
        return refused[1], _ADVICE[-1][1]
    return text.rstrip("."), _OTHERWISE


def _causes(error: BaseException, depth: int = 10) -> Iterator[BaseException]:
    """The error, and all that it wraps as cause, context or argument."""
    yield error
    wrapped = [error.__cause__, error.__context__, *error.args]
    for inner in wrapped if depth else ():
        if isinstance(inner, BaseException):
            yield from _causes(inner, depth - 1)

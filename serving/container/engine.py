"""Connect to the Docker engine of this machine, or explain in one line why that fails and what to do."""

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
    (FileNotFoundError, "Install Docker Engine and start it, or set DOCKER_HOST to an engine's address"),
    (ConnectionRefusedError, "Start the daemon (systemctl start docker), or set DOCKER_HOST to an engine's address"),
)
_OTHERWISE = "Check DOCKER_HOST, and check that the daemon runs"


class EngineMissing(CannotStart):
    """No Docker engine answers, or Docker's SDK is not installed."""


def address() -> str:
    """Return the engine's address: DOCKER_HOST, or Docker's own default."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_HOST


def connect() -> DockerClient:
    """Connect to the engine and check that it answers; the caller closes the client. Raises EngineMissing."""
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
    except (DockerException, OSError, ValueError) as error:  # ValueError: DOCKER_HOST is not a valid address
        reason, advice = _why(error)
        raise EngineMissing(f"no Docker engine answers at {address()}: {reason}. {advice}.") from error
    return client


def _why(error: BaseException) -> tuple[str, str]:
    """Find the operating system's reason inside the libraries' errors, and the advice for it."""
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
    """Yield the error and every error inside it: causes, contexts and arguments."""
    yield error
    wrapped = [error.__cause__, error.__context__, *error.args]
    for inner in wrapped if depth else ():
        if isinstance(inner, BaseException):
            yield from _causes(inner, depth - 1)

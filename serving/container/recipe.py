"""Describe how a server starts in a container, and how to check that it can predict; path modules fill this in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from serving.launch import LaunchError

MODEL = "/mnt/models"
"""The read-only mount point of the payload: the same as KServe's, so that one command line fits both."""


class CannotStart(LaunchError):
    """The request or this machine does not allow a container; nothing was started."""


class Inside(Protocol):
    """A started container, seen from inside."""

    def run(self, *words: str) -> tuple[int, str]:
        """Run a command in the container; return its exit code and standard output."""


@dataclass(frozen=True, slots=True)
class Image:
    """The image of a server. ``variable`` is the environment variable that chooses another one.

    ``dockerfile`` is the path, relative to the repository's root, of the file that builds it, with ``arguments``
    of the form ``NAME=VALUE``; None for an image that is not ours and must be pulled.
    """

    name: str
    variable: str
    dockerfile: str | None = None
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """A listening port of a server: its number in the container and its published number."""

    scheme: Literal["http", "grpc"]
    inside: int
    published: int


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """The model can predict if a GET returns status 200."""

    path: str
    port: int


@dataclass(frozen=True, slots=True)
class ExecProbe:
    """The model can predict if a command in the container exits with 0."""

    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class Metrics:
    """The address of a server's Prometheus metrics: a port in the container, and a path."""

    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that all replicas of a cluster share; ``argument`` gives the server the file ``mounted_at/key``."""

    name: str
    key: str
    mounted_at: str
    argument: str


@dataclass(frozen=True, slots=True)
class ContainerRecipe:
    """The description of a server that runs in a container.

    ``ports`` maps the names of protocols to their ports, which are published on ``host`` only.
    ``payload`` is mounted read-only at :data:`MODEL`; ``tmpfs`` maps the writable folders, all in
    memory, to their mount options. ``ready`` and ``token`` are as in :class:`serving.launch.Recipe`,
    and may run commands in the container.

    For a cluster: ``probe`` checks from outside or inside that the model can predict, ``metrics`` are for its
    Prometheus, ``memory`` is the need of one replica with a small model, ``secret`` the clients' key if the server
    requires one.
    """

    server: str
    image: Image
    command: Sequence[str]
    host: str
    ports: Mapping[str, Port]
    payload: Path
    ready: Callable[[Inside], bool]
    probe: HttpProbe | ExecProbe
    metrics: Metrics
    entrypoint: Sequence[str] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    token: Callable[[Inside], str | None] = lambda inside: None  # noqa: ARG005
    memory: str = "1Gi"
    secret: Secret | None = None


def image_of(variable: str, default: str, own: str, dockerfile: str, *arguments: str) -> Image:
    """Return the image named by the environment, else the default; it can be built only if it is our ``own``."""
    name = os.environ.get(variable) or default
    return Image(name, variable, dockerfile, arguments) if name == own else Image(name, variable)

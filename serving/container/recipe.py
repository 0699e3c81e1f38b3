"""How one server is started in a container, and how to tell that it can predict: what a path's server module says."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from serving.launch import LaunchError

MODEL = "/mnt/models"
"""Where the payload is mounted, read-only: KServe's place for it, so that one command line fits both."""


class CannotStart(LaunchError):
    """What was asked for, or this machine, allows no container: nothing was started."""


class Inside(Protocol):
    """A started container, for what can only be learned within it."""

    def run(self, *words: str) -> tuple[int, str]:
        """The exit code of a command in the container, and its standard output."""


@dataclass(frozen=True, slots=True)
class Image:
    """The image of a server. ``variable`` names the environment variable that chooses another one.

    ``dockerfile`` is the file, from the repository's root, that builds it; None for an image that
    is not ours, which is pulled.
    """

    name: str
    variable: str
    dockerfile: str | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """One listening port of a server: its number in the container and the one it is published on."""

    scheme: Literal["http", "grpc"]
    inside: int
    published: int


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """The model can predict if a GET brings status 200."""

    path: str
    port: int


@dataclass(frozen=True, slots=True)
class ExecProbe:
    """The model can predict if a command in the container ends with 0."""

    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that all replicas of a cluster share; ``argument`` tells the server of the file ``mounted_at/key``."""

    name: str
    key: str
    mounted_at: str
    argument: str


@dataclass(frozen=True, slots=True)
class ContainerRecipe:
    """How one server is started in a container.

    ``ports`` maps the names of protocols to their ports, which are published on ``host`` only.
    ``payload`` is mounted at :data:`MODEL`, read-only; ``tmpfs`` maps the folders that can be
    written to, all in memory, to their mount options. ``ready`` and ``token`` are as in
    :class:`serving.launch.Recipe`, and may look into the container.

    For a cluster: ``probe`` asks from outside or inside whether the model can predict, ``memory`` is
    what one replica needs with a small model, ``secret`` the clients' key, if the server wants one.
    """

    server: str
    image: Image
    command: Sequence[str]
    host: str
    ports: Mapping[str, Port]
    payload: Path
    ready: Callable[[Inside], bool]
    probe: HttpProbe | ExecProbe
    entrypoint: Sequence[str] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    token: Callable[[Inside], str | None] = lambda inside: None  # noqa: ARG005
    memory: str = "1Gi"
    secret: Secret | None = None


def image_of(variable: str, default: str, own: str, dockerfile: str) -> Image:
    """The image that the environment names, else the default; it can be built here if it is our ``own``."""
    name = os.environ.get(variable) or default
    return Image(name, variable, dockerfile if name == own else None)

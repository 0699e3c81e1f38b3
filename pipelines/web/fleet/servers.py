"""The servers that the page asks: those that it was told of, and those that were started for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.spec import ModelSpec
from pipelines.artifacts.artifact import Artifact, read_certificate
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import unknown
from pipelines.paths.choose import Choice
from pipelines.results import Certificate
from pipelines.run.addresses import Deployed, artifact_in
from serving.clients import Target
from serving.launch import Running


@dataclass(frozen=True, slots=True)
class KnownServer:
    """One server, and the artifact that it serves. ``running`` is its process, if it was started for the page.

    ``name`` is the artifact's, and for a replica a number with it.
    """

    name: str
    title: str
    deployed: Deployed
    artifact: Artifact
    certificate: Certificate
    running: Running | None = None

    def target(self, protocol: str, spec: ModelSpec) -> Target:
        """Return the model behind it, for a client of ``protocol``. Raises UserError for a token that is not there."""
        outputs = {tensor.name: tensor.dtype for tensor in spec.outputs}
        return Target(self.deployed.urls[protocol], spec.name, outputs, self.deployed.token())


class Fleet:
    """All servers by name, in order. Its methods are for one thread: the event loop's."""

    def __init__(self, servers: list[KnownServer]) -> None:
        self._servers: dict[str, KnownServer] = {}
        for server in servers:
            self.add(server)

    def __iter__(self) -> Iterator[KnownServer]:
        return iter(list(self._servers.values()))

    def __getitem__(self, name: str) -> KnownServer:
        """Return the server of this name. Raises UserError."""
        if name not in self._servers:
            raise unknown("server", name, self._servers)
        return self._servers[name]

    def free_name(self, name: str) -> str:
        """Return ``name``, with a number if there is a server of that name."""
        number, free = 1, name
        while free in self._servers:
            number += 1
            free = f"{name} #{number}"
        return free

    def add(self, server: KnownServer) -> None:
        """Add a server. Raises ValueError for a name that is taken."""
        if server.name in self._servers:
            raise ValueError(f"expected a new name of a server. Received: {server.name}")
        self._servers[server.name] = server

    def replace(self, server: KnownServer) -> None:
        """Put a server in the place of the one of its name."""
        self._servers[server.name] = server


def elsewhere(workspace: Workspace, model: str, deployed: Deployed, name: str) -> KnownServer:
    """Return a server that runs already. Raises UserError if its artifact is not in the workspace."""
    artifact, certificate = artifact_in(workspace, model, deployed.choice)
    return KnownServer(name, deployed.choice.card.title, deployed, artifact, certificate)


def ours(choice: Choice, artifact: Artifact, running: Running, workdir: Path, name: str) -> KnownServer:
    """Return a server that was started for the page; its token, if it has one, is in a file of its own."""
    tokens: tuple[Path, ...] = ()
    if (token := running.recipe.token()) is not None:
        file = workdir / "token"
        file.touch(mode=0o600)
        file.write_text(token)
        tokens = (file,)
    deployed = Deployed(choice, dict(running.recipe.endpoints), tokens)
    return KnownServer(name, running.recipe.server, deployed, artifact, read_certificate(artifact.folder), running)

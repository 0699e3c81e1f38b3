"""Kills a server, adds a replica, or rolls out what is packaged now: what ``--allow-control`` allows.

Only servers that were started for the page are touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil

from pipelines.artifacts.artifact import Artifact
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import SlipwayError, UserError, unknown
from pipelines.measure.server import started
from pipelines.paths.choose import Choice
from pipelines.run.addresses import artifact_in
from pipelines.web.fleet.servers import Fleet, KnownServer, ours
from serving.launch import LaunchError

ACTIONS = ("kill", "replica", "rollout")


class Starter:
    """Starts servers, each in a folder of its own below ``folder``; all of them end with :meth:`close`.

    One thread starts all and lives as long as they do: the kernel ends a server when the thread that started it ends.
    """

    def __init__(self, workspace: Workspace, model: str, folder: Path, threads: int) -> None:
        self._workspace, self._model, self._folder, self._threads = workspace, model, folder, threads
        self._stack, self._count = ExitStack(), 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="starter")

    async def start(self, choice: Choice, artifact: Artifact, name: str) -> KnownServer:
        """Start the server of an artifact, and return it when it can predict. Raises SlipwayError."""
        try:
            return await asyncio.wrap_future(self._thread.submit(self._start, choice, artifact, name))
        except LaunchError as error:
            raise SlipwayError(str(error)) from error

    def packaged(self, choice: Choice) -> Artifact:
        """Return the artifact that is packaged now. Raises UserError if there is none, or it is not verified."""
        return artifact_in(self._workspace, self._model, choice)[0]

    def _start(self, choice: Choice, artifact: Artifact, name: str) -> KnownServer:
        self._count += 1
        workdir = self._folder / f"later-{self._count}"
        workdir.mkdir()
        running = self._stack.enter_context(started(choice.card, artifact, workdir, threads=self._threads))
        return ours(choice, artifact, running, workdir, name)

    def close(self) -> None:
        """End all servers; one that is being started is waited for."""
        self._thread.submit(self._stack.close).result()
        self._thread.shutdown()


class Control:
    """Acts on the servers of a fleet.

    ``changed`` is called with a line about what was done, ``replaced`` when one server has taken another's place.
    """

    def __init__(
        self, fleet: Fleet, starter: Starter, changed: Callable[[str], None], replaced: Callable[[], None]
    ) -> None:
        self._fleet, self._starter, self._changed, self._replaced = fleet, starter, changed, replaced
        self._changing = asyncio.Lock()

    async def act(self, asked: Any) -> str:
        """Do what a request's JSON asks for; return what was done. Raises UserError or SlipwayError."""
        match asked:
            case {"action": str(action), "server": str(name)}:
                if action not in ACTIONS:
                    raise unknown("action", action, ACTIONS)
            case _:
                raise UserError("expected an action and a server. Received: other JSON")
        server = self._fleet[name]
        if server.running is None:
            raise UserError(f"{name} was not started for this page, so that it is left alone")
        if action == "kill":
            return self._done(self._kill(server))
        if self._changing.locked():
            raise UserError("a server is being started. Wait until it is ready.")
        async with self._changing:
            return self._done(await (self._replica(server) if action == "replica" else self._roll_out(server)))

    def _done(self, what: str) -> str:
        self._changed(what)
        return what

    def _kill(self, server: KnownServer) -> str:
        """End a server's first process as a crash does, with no chance to say goodbye."""
        pid = server.running.root_pid() if server.running is not None and server.running.running else None
        if pid is None:
            raise UserError(f"{server.name} does not run")
        with suppress(psutil.NoSuchProcess):  # it has just ended by itself
            psutil.Process(pid).kill()
        return f"{server.name} was killed"

    async def _replica(self, server: KnownServer) -> str:
        name = self._fleet.free_name(server.deployed.choice.name)
        self._fleet.add(await self._starter.start(server.deployed.choice, server.artifact, name))
        return f"{name} was added"

    async def _roll_out(self, server: KnownServer) -> str:
        """Start a server of what is packaged now; when it is ready, it takes the place of the old one, which ends."""
        choice = server.deployed.choice
        artifact = await asyncio.to_thread(self._starter.packaged, choice)
        if artifact.manifest.artifact_sha256 == server.artifact.manifest.artifact_sha256:
            raise UserError(
                f"{server.name} serves what is packaged. Train or package anew first: slipway package "
                f"{artifact.manifest.model} {choice.name} --rebuild"
            )
        self._fleet.replace(await self._starter.start(choice, artifact, server.name))
        self._replaced()  # before the old one ends: its end is not the new one's
        if server.running is not None:
            await asyncio.to_thread(server.running.stop)
        return f"{server.name} serves {artifact.manifest.artifact_sha256[:12]}"

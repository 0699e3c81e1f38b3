"""Fresh processes without the seconds of their imports: forks of a process that has imported and done nothing else."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from serving.guard import interrupts_deferred

MOST_SAID = 4096
Key = tuple[tuple[str, ...], tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class _Server:
    """A process that forks, and what it is asked by and answers on."""

    process: subprocess.Popen[bytes]
    line: socket.socket

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.line.close()


class Fork:
    """One stage in a fork. The first line of its server is the number of its process, the second how that ended."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._said = b""
        self._pid: int | None = None
        self._ended = False

    def poll(self) -> tuple[int, float] | None:
        """Return the exit code and CPU seconds of the fork once it has ended; its server's code if that has."""
        status = self._server.process.poll()
        with suppress(BlockingIOError, ConnectionResetError):
            self._said += self._server.line.recv(MOST_SAID)
        pid, known, ended = self._said.partition(b"\n")
        if known:
            self._pid = int(pid)
        if not ended.endswith(b"\n"):
            return None if status is None else (status, 0.0)
        self._ended = True
        code, cpu_s = json.loads(ended)
        return int(code), float(cpu_s)

    def end(self) -> None:
        """Kill the fork with all that it has started; its server too, unless the fork had ended by itself."""
        self.poll()
        if self._pid is not None:
            with suppress(ProcessLookupError):  # the group is empty
                os.killpg(self._pid, signal.SIGKILL)
        if not self._ended:
            self._server.end()


class Forks:
    """The servers that forks come from, one for each set of modules and variables; at the end of the block none is."""

    def __init__(self) -> None:
        self._servers: dict[Key, _Server] = {}

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End the servers; whatever begins later has new ones."""
        for server in self._servers.values():
            server.end()
        self._servers.clear()

    def begin(
        self, modules: Sequence[str], words: Sequence[str], folder: Path, log: Path, variables: Mapping[str, str]
    ) -> Fork:
        """Run a stage (its name, the files of its request and its answer) in a fork that has imported ``modules``."""
        key = (tuple(modules), tuple(sorted(variables.items())))
        server = self._servers.get(key)
        if server is None or server.process.poll() is not None:
            server = self._servers[key] = _begun(modules, log, variables)
        with suppress(BrokenPipeError):  # it has just ended: poll says so
            server.line.sendall(json.dumps([*words, str(folder), str(log.resolve())]).encode() + b"\n")
        return Fork(server)


def _begun(modules: Sequence[str], log: Path, variables: Mapping[str, str]) -> _Server:
    ours, theirs = socket.socketpair()
    with theirs, log.open("ab") as output, interrupts_deferred():
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pipelines.stages.forkserver", str(os.getpid()), *modules],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=output,
            env={**os.environ, **variables},
            start_new_session=True,
        )
    ours.setblocking(False)
    return _Server(process, ours)

"""Start a server's container, wait until it can predict, and remove it at the end."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from serving.container import guard, ownership
from serving.container.engine import connect
from serving.container.hardening import hardening
from serving.container.image import FoundImage, Say, ensure
from serving.container.recipe import MODEL, CannotStart, ContainerRecipe
from serving.launch import STOP_GRACE_S, LaunchError, PortInUse, Recipe, Running, kept_ready
from serving.wire.addresses import host_port

if TYPE_CHECKING:
    from docker import DockerClient

PROXY = "docker-proxy"
REACH_S = 2.0
_LOGS_S = 5.0


class ContainerServer(Running):
    """A started container. Use :func:`serve_container`, which also removes it.

    ``image`` is the image it was started from, ``ready_s`` the seconds from the request to create it
    until it could predict (None before that).
    """

    def __init__(self, client: DockerClient, recipe: ContainerRecipe, image: FoundImage, workdir: Path) -> None:
        from docker.errors import DockerException

        self.image = image
        self.ready_s: float | None = None
        self.log = workdir / "server.log"
        self._ports = recipe.ports
        self.recipe = Recipe(
            server=f"{recipe.server}, container of {recipe.image.name}",
            argv=tuple(recipe.command),
            endpoints={
                name: f"{port.scheme}://{host_port(recipe.host, port.published)}" for name, port in recipe.ports.items()
            },
            ready=lambda: recipe.ready(self),
            token=lambda: recipe.token(self),
        )
        session = uuid.uuid4().hex
        arguments = _arguments(recipe, session)
        with ExitStack() as undo:
            self._guard = _start_guard(session)
            undo.callback(_end_guard, self._guard)
            self.started = time.monotonic()
            try:
                self._container = client.containers.create(image.id, **arguments)
                undo.callback(self._remove)
                self._container.start()
                self._container.reload()
            except DockerException as error:
                raise _refused(recipe, error) from error
            self._pid = int(self._container.attrs["State"]["Pid"])
            self._logs = threading.Thread(target=self._follow, name="container log", daemon=True)
            self._logs.start()
            undo.pop_all()

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self._container.name)

    def wait_until_ready(self, timeout_s: float) -> float:
        """Wait as :meth:`Running.wait_until_ready` does, and keep the seconds in ``ready_s``."""
        self.ready_s = super().wait_until_ready(timeout_s)
        return self.ready_s

    def run(self, *words: str) -> tuple[int, str]:
        """Run a command in the container; return its exit code and standard output. Raises OSError if that fails."""
        from docker.errors import DockerException

        try:
            code, (output, _) = self._container.exec_run(list(words), demux=True)
        except DockerException as error:
            raise OSError(f"{self.name}: {error}") from error
        return int(code), (output or b"").decode("utf-8", "replace")

    @property
    def running(self) -> bool:
        """True while the container runs. When False, the log is complete. Also False if the container was removed."""
        running = bool(self._state().get("Running"))
        if not running:
            self._logs.join(_LOGS_S)
        return running

    def wait(self) -> None:
        """Wait until the container has ended."""
        from docker.errors import NotFound

        with suppress(NotFound):
            self._container.wait(timeout=None)

    def exit_text(self) -> str:
        """Describe how the container ended, with the engine's reason if there is one."""
        state = self._state()
        if not state:
            return "removed by another program"
        if state["Running"]:
            return "running"
        memory = ", out of memory: raise SLIPWAY_MEMORY" if state.get("OOMKilled") else ""
        return f"exit code {state['ExitCode']}{memory}"

    def root_pid(self) -> int | None:
        """Return the id of the container's first process; None if it runs in a virtual machine."""
        try:
            mine = str(self._container.id) in Path(f"/proc/{self._pid}/cgroup").read_text()
        except OSError:
            mine = False
        return self._pid if mine else None

    def proxy_cpu_s(self) -> float | None:
        """Return the CPU seconds of the processes that publish the ports; None if none is visible."""
        published = {str(port.published) for port in self._ports.values()}
        found = []
        for process in psutil.process_iter(["name"]):
            with suppress(psutil.Error):
                if process.info["name"] == PROXY and published & set(process.cmdline()):
                    times = process.cpu_times()
                    found.append(times.user + times.system)
        return sum(found) if found else None

    def direct_endpoints(self) -> Mapping[str, str]:
        """Return the endpoints at the container's own address, not through the proxy. Raises OSError if unreachable."""
        networks = self._container.attrs["NetworkSettings"]["Networks"].values()
        address = next((network["IPAddress"] for network in networks if network["IPAddress"]), None)
        if address is None:
            raise OSError("the container has no address of its own")
        for port in self._ports.values():
            socket.create_connection((address, port.inside), timeout=REACH_S).close()
        return {name: f"{port.scheme}://{host_port(address, port.inside)}" for name, port in self._ports.items()}

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Ask the container to end, then force it; returns when it is removed.

        Raises:
            LaunchError: the engine did not remove it.
        """
        from docker.errors import DockerException, NotFound

        try:
            with suppress(NotFound):
                self._container.stop(timeout=int(grace_s))
            self._logs.join(_LOGS_S)  # for its last lines
            self._remove()
        except (DockerException, OSError) as error:
            raise LaunchError(f"{self.name} could not be removed: {error}. Run: docker rm -f {self.name}") from error
        finally:
            _end_guard(self._guard)

    def _remove(self) -> None:
        from docker.errors import NotFound

        with suppress(NotFound):
            self._container.remove(force=True, v=True)

    def _state(self) -> dict[str, Any]:
        """Return the engine's record of the container; empty if it was removed."""
        from docker.errors import NotFound

        try:
            self._container.reload()
        except NotFound:
            return {}
        return dict(self._container.attrs["State"])

    def _follow(self) -> None:
        """Write the container's output to the log until it ends."""
        from docker.errors import DockerException

        with self.log.open("ab") as file, suppress(DockerException, OSError):
            for chunk in self._container.logs(stream=True, follow=True):
                file.write(chunk)
                file.flush()


def _arguments(recipe: ContainerRecipe, session: str) -> dict[str, Any]:
    """Return the arguments for creating the container. Raises CannotStart."""
    from docker.types import LogConfig, Mount

    _check_readable(recipe.payload)
    return {
        **hardening(),
        "name": f"slipway-{session[:12]}",
        "labels": ownership.labels(session),
        "command": list(recipe.command),
        "entrypoint": list(recipe.entrypoint) if recipe.entrypoint else None,
        "environment": dict(recipe.env),
        "tmpfs": dict(recipe.tmpfs),
        "mounts": [Mount(MODEL, str(recipe.payload.resolve()), type="bind", read_only=True)],
        "ports": {f"{port.inside}/tcp": (recipe.host, port.published) for port in recipe.ports.values()},
        "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
    }


def _check_readable(payload: Path) -> None:
    """Check that the container's user, who owns no file here, can read the artifact; else raise CannotStart."""
    for path in (payload, *payload.rglob("*")):
        needed = 0o005 if path.is_dir() else 0o004
        if path.stat().st_mode & needed != needed:
            raise CannotStart(f"the container's user cannot read {path}. Run: chmod -R o+rX {payload}")


def _refused(recipe: ContainerRecipe, error: Exception) -> LaunchError:
    """Turn the engine's refusal to create or start the container into an error of one line."""
    reason = " ".join(str(getattr(error, "explanation", None) or error).split())
    if "port is already allocated" in reason or "address already in use" in reason:
        return PortInUse(f"a port cannot be published: {reason}. Choose another, or leave it out for a free one.")
    # 400: the engine rejects the arguments, for example more processors than the machine has.
    kind = CannotStart if getattr(error, "status_code", None) == HTTPStatus.BAD_REQUEST else LaunchError
    return kind(f"the engine did not start {recipe.image.name}: {reason}")


def _start_guard(session: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", guard.__file__, session],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that Ctrl-C at the terminal does not reach it
    )


def _end_guard(process: subprocess.Popen[bytes]) -> None:
    """Tell the guard that the clean-up is done."""
    with suppress(BrokenPipeError):
        process.communicate(b"done")


@contextmanager
def serve_container(
    make: Callable[[], ContainerRecipe], workdir: Path, say: Say, timeout_s: float = 120.0
) -> Iterator[ContainerServer]:
    """Start the container that ``make`` describes, wait until it can predict, and remove it when the block ends.

    ``say`` receives progress messages while an image is built or pulled.

    Raises:
        CannotStart: there is no engine (EngineMissing), no image (ImageMissing), or a limit is invalid.
        LaunchError: it did not start, or was not ready in time.
    """
    with ExitStack() as stack:
        client = connect()
        stack.callback(client.close)
        ownership.reap(client)
        recipe = make()
        image = ensure(client, recipe.image, say)
        yield stack.enter_context(kept_ready(lambda: ContainerServer(client, recipe, image, workdir), timeout_s))

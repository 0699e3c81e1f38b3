"""Starts a server's container, waits until it can predict, and removes it so that nothing is left behind."""

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

    ``image`` is what it was started from, ``ready_s`` the seconds from the request to create it until
    it could predict (None before).
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
        """As every server's; also keeps the seconds."""
        self.ready_s = super().wait_until_ready(timeout_s)
        return self.ready_s

    def run(self, *words: str) -> tuple[int, str]:
        """The exit code of a command within, and its standard output. Raises OSError if it cannot be asked."""
        from docker.errors import DockerException

        try:
            code, (output, _) = self._container.exec_run(list(words), demux=True)
        except DockerException as error:
            raise OSError(f"{self.name}: {error}") from error
        return int(code), (output or b"").decode("utf-8", "replace")

    @property
    def running(self) -> bool:
        """Whether the container runs; if not, its last words are in the log. False also when somebody removed it."""
        running = bool(self._state().get("Running"))
        if not running:
            self._logs.join(_LOGS_S)
        return running

    def wait(self) -> None:
        """Return when the container has ended."""
        from docker.errors import NotFound

        with suppress(NotFound):
            self._container.wait(timeout=None)

    def exit_text(self) -> str:
        """How it ended, with the engine's own reason, if there is one."""
        state = self._state()
        if not state:
            return "removed by somebody else"
        if state["Running"]:
            return "running"
        memory = ", out of memory: raise SLIPWAY_MEMORY" if state.get("OOMKilled") else ""
        return f"exit code {state['ExitCode']}{memory}"

    def root_pid(self) -> int | None:
        """The container's first process, if it is one of this machine's and not of a virtual machine's."""
        try:
            mine = str(self._container.id) in Path(f"/proc/{self._pid}/cgroup").read_text()
        except OSError:
            mine = False
        return self._pid if mine else None

    def proxy_cpu_s(self) -> float | None:
        """CPU seconds of the processes that publish the ports; None where there is none to be seen."""
        published = {str(port.published) for port in self._ports.values()}
        found = []
        for process in psutil.process_iter(["name"]):
            with suppress(psutil.Error):
                if process.info["name"] == PROXY and published & set(process.cmdline()):
                    times = process.cpu_times()
                    found.append(times.user + times.system)
        return sum(found) if found else None

    def direct_endpoints(self) -> Mapping[str, str]:
        """The endpoints at the container's own address, past the ports' proxy. Raises OSError if out of reach."""
        networks = self._container.attrs["NetworkSettings"]["Networks"].values()
        address = next((network["IPAddress"] for network in networks if network["IPAddress"]), None)
        if address is None:
            raise OSError("the container has no address of its own")
        for port in self._ports.values():
            socket.create_connection((address, port.inside), timeout=REACH_S).close()
        return {name: f"{port.scheme}://{host_port(address, port.inside)}" for name, port in self._ports.items()}

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Ask it to end, then make it; returns when the container is removed.

        Raises:
            LaunchError: the engine did not remove it.
        """
        from docker.errors import DockerException, NotFound

        try:
            with suppress(NotFound):
                self._container.stop(timeout=int(grace_s))
            self._logs.join(_LOGS_S)  # its last words
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
        """The engine's record of the container; empty when it is removed."""
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
    """What the container is created with. Raises CannotStart."""
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
    """Raises CannotStart if the container's user, who owns nothing here, could not read the artifact."""
    for path in (payload, *payload.rglob("*")):
        needed = 0o005 if path.is_dir() else 0o004
        if path.stat().st_mode & needed != needed:
            raise CannotStart(f"the container's user may not read {path}. Run: chmod -R o+rX {payload}")


def _refused(recipe: ContainerRecipe, error: Exception) -> LaunchError:
    """The engine's refusal to create or start the container, in one line."""
    reason = " ".join(str(getattr(error, "explanation", None) or error).split())
    if "port is already allocated" in reason or "address already in use" in reason:
        return PortInUse(f"a port cannot be published: {reason}. Choose another, or leave it out for a free one.")
    # 400: it is the arguments that the engine does not like, such as more processors than there are.
    kind = CannotStart if getattr(error, "status_code", None) == HTTPStatus.BAD_REQUEST else LaunchError
    return kind(f"the engine did not start {recipe.image.name}: {reason}")


def _start_guard(session: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", guard.__file__, session],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C at the terminal is not for it
    )


def _end_guard(process: subprocess.Popen[bytes]) -> None:
    """Tell the guard that there is nothing left for it to do."""
    with suppress(BrokenPipeError):
        process.communicate(b"done")


@contextmanager
def serve_container(
    make: Callable[[], ContainerRecipe], workdir: Path, say: Say, timeout_s: float = 120.0
) -> Iterator[ContainerServer]:
    """The container that ``make`` describes, ready to predict, for as long as the block runs; then removed.

    ``say`` hears of what takes long before it starts: an image that is built or pulled.

    Raises:
        CannotStart: there is no engine (EngineMissing), no image (ImageMissing), or a limit that is no amount.
        LaunchError: it did not start, or was not ready in time.
    """
    with ExitStack() as stack:
        client = connect()
        stack.callback(client.close)
        ownership.reap(client)
        recipe = make()
        image = ensure(client, recipe.image, say)
        yield stack.enter_context(kept_ready(lambda: ContainerServer(client, recipe, image, workdir), timeout_s))

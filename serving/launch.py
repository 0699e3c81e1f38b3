"""Start a server, wait until it can predict, and stop it with all its processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

import psutil

from serving.guard import interrupts_deferred, tied

LOOPBACK = "127.0.0.1"
STOP_GRACE_S = 15.0
NO_TELEMETRY = {"ORT_DISABLE_TELEMETRY": "1", "NNCF_CI": "1"}
"""ONNX Runtime and NNCF send usage data to their makers unless the environment forbids it."""
LOG_TAIL_LINES = 12


AnyRunning = TypeVar("AnyRunning", bound="Running")


class LaunchError(Exception):
    """A server could not be started, died while starting, or was not ready in time."""


class PortInUse(LaunchError):
    """A requested port is already in use, or cannot be listened on."""


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """A request to start a server for one model.

    ``payload`` is the artifact's payload folder (read only); ``workdir`` is an empty folder for the
    server's own files. ``rest_port`` and ``grpc_port`` are free ports on ``host``. ``threads`` is
    the number of compute threads per prediction. ``flavour`` picks one of a module's
    ``FLAVOURS``; the first is the default.
    """

    model: str
    payload: Path
    workdir: Path
    rest_port: int
    grpc_port: int
    host: str = LOOPBACK
    threads: int = 1
    flavour: str | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """The command that starts a server, and the check that it can predict.

    ``server`` is the server's name and version. ``ready`` is polled: it returns False, or raises
    OSError or a client's error, as long as the server cannot predict. ``token`` returns the bearer
    token that clients need, once the server is ready. ``cwd`` is the folder that the server runs in;
    None if any will do.
    """

    server: str
    argv: tuple[str, ...]
    endpoints: Mapping[str, str]
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    token: Callable[[], str | None] = lambda: None
    cwd: Path | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources used by a process and its children: CPU seconds, and the sum of their peak resident bytes."""

    cpu_s: float
    peak_rss_bytes: int


def free_ports(count: int, host: str = LOOPBACK, besides: Collection[int | None] = ()) -> tuple[int, ...]:
    """Return ``count`` different ports of ``host`` that were free a moment ago and are not in ``besides``."""
    family = family_of(host)
    with ExitStack() as held:  # until all are known: the system may offer a released port again
        probes = [held.enter_context(socket.socket(family)) for _ in range(count + len(besides))]
        for probe in probes:
            probe.bind((host, 0))
        ports = (int(probe.getsockname()[1]) for probe in probes)
        return tuple(port for port in ports if port not in besides)[:count]


def free_port(host: str = LOOPBACK) -> int:
    """Return a port of ``host`` that was free a moment ago; for several, use :func:`free_ports`."""
    return free_ports(1, host)[0]


def family_of(host: str) -> socket.AddressFamily:
    """Return the address family of a host. Raises LaunchError if this machine cannot listen on it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host or "?", 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError as error:
        raise PortInUse(f"cannot listen on this host: {error.strerror or error}. Received: {host!r}") from error
    return family


def check_port(host: str, port: int) -> int:
    """Return ``port`` if a server could listen on it.

    Raises:
        PortInUse: the port is taken, reserved, or not a valid port number.
    """
    with socket.socket(family_of(host)) as probe:
        # Servers set this too: a port whose last connections are still in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a port number"
            raise PortInUse(
                f"port {port} of {host} cannot be used: {reason}. Choose another, or leave it out for a free one."
            ) from error
    return port


def log_tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Return the last lines of a log, for an error message; an empty text if there are none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-lines:])


class Running(ABC):
    """A started server: a process or a container. ``recipe`` names the server and its addresses.

    ``log`` is the file that receives its output, ``started`` the monotonic time of its start.
    """

    recipe: Recipe
    log: Path
    started: float
    _first_answer_s: float | None = None

    @property
    @abstractmethod
    def running(self) -> bool:
        """True while the server runs."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until the server has ended."""

    @abstractmethod
    def exit_text(self) -> str:
        """Describe how the server ended: ``exit code 1`` or ``signal 9``; ``running`` if it has not."""

    @abstractmethod
    def root_pid(self) -> int | None:
        """Return this machine's process id of the server's first process; None if it is not visible."""

    @abstractmethod
    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Ask the server to end, then force it; returns when nothing of it is left."""

    def wait_until_ready(self, timeout_s: float) -> float:
        """Wait until the server can predict; return the seconds since its start.

        Raises:
            LaunchError: the server died, or was not ready within ``timeout_s``; includes the end of its log.
        """
        from serving.clients import ProtocolError
        from serving.clients.transport import Unreachable

        deadline = self.started + timeout_s
        while time.monotonic() < deadline:
            if not self.running:
                raise LaunchError(self.describe(f"{self.recipe.server} ended while starting ({self.exit_text()})"))
            try:
                if self.recipe.ready():
                    return time.monotonic() - self.started
            except (OSError, Unreachable, ProtocolError):
                pass  # ready() raises as long as the server is not ready
            time.sleep(0.05)
        raise LaunchError(self.describe(f"{self.recipe.server} was not ready to predict within {timeout_s:.0f} s"))

    def first_answer(self) -> float:
        """Return the seconds from the start to the first call of this method; call it at the first answer."""
        if self._first_answer_s is None:
            self._first_answer_s = time.monotonic() - self.started
        return self._first_answer_s

    def describe(self, what: str) -> str:
        """Return ``what`` followed by the last lines of the log."""
        tail = log_tail(self.log)
        return f"{what}; last lines of its log:\n{tail}" if tail else f"{what}; it wrote no log"

    def usage(self) -> Usage:
        """Measure CPU time and peak memory of all its processes until now; zeros if they are not visible.

        Peak memory is the sum of each process's own high-water mark (VmHWM in /proc/PID/status; the
        current resident size on other systems): an upper bound of the memory held at one moment.
        """
        cpu_s, peak = 0.0, 0
        for process in self._tree():
            try:
                times = process.cpu_times()
                cpu_s += times.user + times.system
                peak += peak_rss_bytes(process)
            except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                continue  # ended between the listing and the reading
        return Usage(cpu_s, peak)

    def processes(self) -> list[psutil.Process]:
        """List its processes; empty if they are not visible."""
        return self._tree()

    def proxy_cpu_s(self) -> float | None:
        """Return the CPU seconds of the proxies between the server and its published ports; None without any."""
        return None

    def _tree(self) -> list[psutil.Process]:
        pid = self.root_pid()
        try:
            root = psutil.Process(pid) if pid is not None else None
            return [root, *root.children(recursive=True)] if root else []
        except psutil.NoSuchProcess:
            return []


class Server(Running):
    """A started process. Use :func:`serve`, which also stops it."""

    def __init__(self, recipe: Recipe, workdir: Path) -> None:
        self.recipe = recipe
        self.log = workdir / "server.log"
        self._known: dict[int, psutil.Process] = {}
        self._output: IO[bytes] = self.log.open("ab")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            tied(recipe.argv),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **NO_TELEMETRY, **recipe.env},
            cwd=recipe.cwd,
            start_new_session=True,  # a process group of its own, so that the whole group can be killed
        )
        self.pid = self.process.pid

    def wait(self) -> None:
        """Wait until the process has ended."""
        self.process.wait()

    @property
    def running(self) -> bool:
        """True while the process runs."""
        return self.process.poll() is None

    def exit_text(self) -> str:
        """Describe how the process ended: ``exit code 1`` or ``signal 9``; ``running`` if it has not."""
        code = self.process.poll()
        if code is None:
            return "running"
        return f"exit code {code}" if code >= 0 else f"signal {-code}"

    def root_pid(self) -> int:
        """Return the process id of the started process."""
        return self.pid

    def _tree(self) -> list[psutil.Process]:
        tree = super()._tree()
        self._known.update((process.pid, process) for process in tree)
        return tree

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Ask the process to end, then kill it; returns when its children have ended too."""
        self._tree()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # Kill children that the server did not end itself: a JVM's workers, a pool's processes.
        with suppress(ProcessLookupError):  # the group is empty if the server cleaned up after itself
            os.killpg(self.pid, signal.SIGKILL)
        psutil.wait_procs(list(self._known.values()), timeout=5)
        self._output.close()


def peak_rss_bytes(process: psutil.Process) -> int:
    """Read the peak resident size of a process: VmHWM in /proc/PID/status, elsewhere the current size.

    Does not use getrusage(2): its maximum includes the memory of the process that forked this one.
    """
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)


@contextmanager
def kept_ready(start: Callable[[], AnyRunning], timeout_s: float) -> Iterator[AnyRunning]:
    """Start a server with ``start``, wait until it can predict, and stop it when the block ends or fails."""
    server: AnyRunning | None = None
    try:
        with interrupts_deferred():
            server = start()
        server.wait_until_ready(timeout_s)
        yield server
    finally:
        if server is not None:
            with interrupts_deferred():  # a second Ctrl-C must not leave half of it running
                server.stop()


@contextmanager
def serve(recipe: Recipe, workdir: Path, timeout_s: float = 120.0) -> Iterator[Server]:
    """Start a server process, wait until it can predict, and stop it when the block ends or fails."""
    with kept_ready(lambda: Server(recipe, workdir), timeout_s) as server:
        yield server

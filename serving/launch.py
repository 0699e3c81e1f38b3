"""Starts a server, waits until it can predict, and stops it so that nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

import psutil

from serving import guard
from serving.guard import interrupts_deferred

LOOPBACK = "127.0.0.1"
STOP_GRACE_S = 15.0
NO_TELEMETRY = {"ORT_DISABLE_TELEMETRY": "1"}
"""ONNX Runtime reports its use to its maker unless the environment says no."""
LOG_TAIL_LINES = 12


AnyRunning = TypeVar("AnyRunning", bound="Running")


class LaunchError(Exception):
    """A server could not be started, died while starting, or was not ready in time."""


class PortInUse(LaunchError):
    """Somebody else listens on a port that was asked for."""


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What a server is started for.

    ``payload`` is the artifact's payload folder (read only); ``workdir`` an empty folder for the
    server's own files. ``rest_port`` and ``grpc_port`` are free ports on ``host``. ``threads`` is
    the number of compute threads of one prediction. ``flavour`` picks one of a module's
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
    """How one server is started, and how to tell that it can predict.

    ``server`` names what will answer, with its version. ``ready`` is polled: it returns False, or
    raises OSError or a client's error, as long as the server cannot predict. ``token`` returns the
    bearer token that clients need, once the server is ready. ``cwd`` is the folder it runs in, where
    it matters.
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
    """What a process and its children have used: CPU seconds, and peak resident bytes summed over them."""

    cpu_s: float
    peak_rss_bytes: int


def free_ports(count: int, host: str = LOOPBACK, besides: Collection[int | None] = ()) -> tuple[int, ...]:
    """Ports of ``host`` that nobody listened on a moment ago: each another one, and none of ``besides``."""
    family = family_of(host)
    with ExitStack() as held:  # until all are known: the system may offer a port again as soon as it is let go
        probes = [held.enter_context(socket.socket(family)) for _ in range(count + len(besides))]
        for probe in probes:
            probe.bind((host, 0))
        ports = (int(probe.getsockname()[1]) for probe in probes)
        return tuple(port for port in ports if port not in besides)[:count]


def free_port(host: str = LOOPBACK) -> int:
    """A port of ``host`` that nobody listened on a moment ago; for several, :func:`free_ports`."""
    return free_ports(1, host)[0]


def family_of(host: str) -> socket.AddressFamily:
    """The address family of a host. Raises LaunchError for one that this machine cannot listen on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host or "?", 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError as error:
        raise PortInUse(f"cannot listen on this host: {error.strerror or error}. Received: {host!r}") from error
    return family


def check_port(host: str, port: int) -> int:
    """``port`` itself if a server could listen on it.

    Raises:
        PortInUse: it is taken, reserved, or no port number.
    """
    with socket.socket(family_of(host)) as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT is free.
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
    """The last lines of a log, for an error message; an empty text if there are none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-lines:])


class Running(ABC):
    """A started server, whether a process or a container. ``recipe`` says what answers, and where.

    ``log`` is the file that its output goes to, ``started`` the monotonic time of its start.
    """

    recipe: Recipe
    log: Path
    started: float
    _first_answer_s: float | None = None

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether it still runs."""

    @abstractmethod
    def wait(self) -> None:
        """Return when it has ended."""

    @abstractmethod
    def exit_text(self) -> str:
        """How it ended: ``exit code 1`` or ``signal 9``; ``running`` while it does."""

    @abstractmethod
    def root_pid(self) -> int | None:
        """The first of its processes, as this machine numbers them; None where they cannot be seen."""

    @abstractmethod
    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Ask it to end, then make it; returns when nothing of it is left."""

    def wait_until_ready(self, timeout_s: float) -> float:
        """Seconds from the start until the server could predict.

        Raises:
            LaunchError: it died, or was not ready within ``timeout_s``; with the end of its log.
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
                pass  # not yet: what ready() means by raising
            time.sleep(0.05)
        raise LaunchError(self.describe(f"{self.recipe.server} was not ready to predict within {timeout_s:.0f} s"))

    def first_answer(self) -> float:
        """Seconds from the start to the first call of this method, made when the first answer is here."""
        if self._first_answer_s is None:
            self._first_answer_s = time.monotonic() - self.started
        return self._first_answer_s

    def describe(self, what: str) -> str:
        """``what``, with the last lines of the log."""
        tail = log_tail(self.log)
        return f"{what}; last lines of its log:\n{tail}" if tail else f"{what}; it wrote no log"

    def usage(self) -> Usage:
        """CPU time and peak memory of the whole tree until now; zeros where its processes cannot be seen.

        Peak memory is the sum of each process's own high-water mark (VmHWM in /proc/PID/status;
        elsewhere the present resident size), an upper bound of what the tree held at one moment.
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
        """Its processes; none where they cannot be seen."""
        return self._tree()

    def proxy_cpu_s(self) -> float | None:
        """CPU seconds of what stands between the server and its ports; None where nothing does."""
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
            [
                sys.executable,
                "-P",
                guard.__file__,
                str(os.getpid()),
                *recipe.argv,
            ],  # by its file: cwd may not be where -m finds it
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **NO_TELEMETRY, **recipe.env},
            cwd=recipe.cwd,
            start_new_session=True,  # a group of its own, so that the group can be ended as a whole
        )
        self.pid = self.process.pid

    def wait(self) -> None:
        """Return when the process has ended."""
        self.process.wait()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.process.poll() is None

    def exit_text(self) -> str:
        """How the process ended: ``exit code 1`` or ``signal 9``; ``running`` while it does."""
        code = self.process.poll()
        if code is None:
            return "running"
        return f"exit code {code}" if code >= 0 else f"signal {-code}"

    def root_pid(self) -> int:
        """The process that was started."""
        return self.pid

    def _tree(self) -> list[psutil.Process]:
        tree = super()._tree()
        self._known.update((process.pid, process) for process in tree)
        return tree

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Ask it to end, then make it; returns when the whole tree is gone."""
        self._tree()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # Children that the server did not end itself: a JVM's workers, a pool's processes.
        with suppress(ProcessLookupError):  # the group is empty where the server cleaned up after itself
            os.killpg(self.pid, signal.SIGKILL)
        psutil.wait_procs(list(self._known.values()), timeout=5)
        self._output.close()


def peak_rss_bytes(process: psutil.Process) -> int:
    """The largest resident size of a process: VmHWM in /proc/PID/status, elsewhere the present size.

    Not getrusage(2): its maximum starts with the memory of the process that forked this one.
    """
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)


@contextmanager
def kept_ready(start: Callable[[], AnyRunning], timeout_s: float) -> Iterator[AnyRunning]:
    """What ``start`` starts, ready to predict, for as long as the block runs; stopped however it ends."""
    server: AnyRunning | None = None
    try:
        with interrupts_deferred():
            server = start()
        server.wait_until_ready(timeout_s)
        yield server
    finally:
        if server is not None:
            with interrupts_deferred():  # an impatient second Ctrl-C does not leave half of it running
                server.stop()


@contextmanager
def serve(recipe: Recipe, workdir: Path, timeout_s: float = 120.0) -> Iterator[Server]:
    """A server process that is ready to predict, for as long as the block runs; stopped however it ends."""
    with kept_ready(lambda: Server(recipe, workdir), timeout_s) as server:
        yield server

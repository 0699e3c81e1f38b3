"""A generator on another host, over OpenSSH: connected, checked, told its part, watched, and emptied.

``ssh`` is the engine: it reaches what the user reaches, by the user's own keys and configuration, authenticates both
ends and encrypts everything, opens no port and leaves no daemon. What Ray, dask, Locust and execnet cost instead is
measured by ``benchmarks/loadtest/engines.py``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from pipelines.errors import SlipwayError, UserError
from pipelines.loadtest.agent import MARK, unpacked
from pipelines.loadtest.clocks import Offset, offset_of, over
from pipelines.loadtest.frames import SILENT_S, Channel, Frame, Inbox, Lost, plain, send_files
from pipelines.loadtest.identity import identity
from pipelines.loadtest.live import Look
from pipelines.loadtest.measure import START_AND_SAVE_S, STOP_S
from pipelines.loadtest.parts import Told
from pipelines.loadtest.plan import PLAN_FILES, Plan, save_plan
from pipelines.loadtest.received import MOST_NS
from pipelines.loadtest.recording import RESULT_FILES
from pipelines.loadtest.target import is_near, resolved

MAX_HOSTS = 64
CONNECT_S = 10
ANSWER_S = 30.0
"""From the connection to the agent's first word: Python and numpy start."""
ROUND_TRIPS = 20
BEAT_S = 1.0
POLL_S = 0.1
FETCH_S = 600.0
LOG_BYTES = 2**16
"""Of what ssh and the other side's errors say, the last is looked at."""
_NAME = re.compile(r"(ssh://)?(\w[\w.+-]*@)?[\w\[][\w.:%\]-]*")
OPTIONS = (
    ("BatchMode", "yes"),  # nobody is there to type a password
    ("ConnectTimeout", f"{CONNECT_S}"),
    ("ServerAliveInterval", "5"),
    ("ServerAliveCountMax", "3"),
    ("ClearAllForwardings", "yes"),
    ("ForwardAgent", "no"),
    ("ForwardX11", "no"),
    ("PermitLocalCommand", "no"),
    ("RemoteCommand", "none"),
    ("ControlPath", "none"),  # a connection of its own ends with its process
    ("LogLevel", "ERROR"),
)


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where the generators run: names as ``ssh`` takes them, one a generator, and the Python that has slipway there."""

    names: tuple[str, ...]
    python: str = "python3"
    ssh_config: Path | None = None

    @property
    def most_on_one(self) -> int:
        return max(Counter(self.names).values())

    def ssh(self, *words: str) -> list[str]:
        """A command line of ``ssh``."""
        config = ["-F", str(self.ssh_config)] if self.ssh_config else []
        return ["ssh", *config, *(f"-o{name}={value}" for name, value in OPTIONS), *words]


def checked(hosts: Hosts, allow_remote: bool) -> Hosts:
    """The hosts, if they may be used.

    Raises:
        UserError: no ``ssh`` here, not the name of a host, or one outside this machine and private networks, without
            ``allow_remote``.
        SlipwayError: nobody knows a host's name.
    """
    if len(hosts.names) > MAX_HOSTS:
        raise UserError(f"too many hosts. Received: {len(hosts.names)}. Name up to {MAX_HOSTS}.")
    if shutil.which("ssh") is None:
        raise UserError("--host needs OpenSSH's client. Received: no ssh on the path. Install openssh-client.")
    for name in dict.fromkeys(hosts.names):
        if not _NAME.fullmatch(name):
            raise UserError(f"not the name of a host. Received: {name!r}. Give [USER@]HOST, as ssh takes it.")
        if allow_remote:
            continue
        address = _address(hosts, name)
        if not is_near(address):
            raise UserError(
                f"the host {name} is not on this machine or a private network. Received: {address}. "
                "Pass --allow-remote if it is yours."
            )
    return hosts


def _address(hosts: Hosts, name: str) -> str:
    """Where ssh would go for a name: its configuration says."""
    try:
        done = subprocess.run(
            hosts.ssh("-G", "--", name), capture_output=True, text=True, check=False, timeout=CONNECT_S
        )
    except subprocess.TimeoutExpired as error:  # it may ask a name server, or run a command of the configuration
        raise SlipwayError(f"ssh -G did not say within {CONNECT_S} s where the host {name} is.") from error
    found = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    if done.returncode or "hostname" not in found:
        raise UserError(f"ssh does not take the host {name}: {_last_line(done.stderr)}")
    return resolved(found["hostname"], int(found.get("port", 22)))


class RemotePart:
    """The generator on one host, as :class:`pipelines.loadtest.parts.Part` says."""

    def __init__(self, name: str, folder: Path, host: str, hosts: Hosts, lead_s: float) -> None:
        self.name, self.folder = name, folder
        self.host: str | None = host
        self._destination, self._hosts, self._lead_s = host, hosts, lead_s
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._guard = threading.Lock()
        self._look: Look | None = None
        self._log: IO[bytes] | None = None

    def prepare(self, plan: Plan) -> None:
        """Connects, compares versions, reads the clock, and sends the plan. Raises SlipwayError."""
        self._plan = plan
        try:
            self._channel = self._connected()
            theirs, ours = self._channel.expect("hello").facts, identity()
            if theirs != ours:
                shown = " and ".join(plain(f"{one.get('version')} ({one.get('code')})", 80) for one in (theirs, ours))
                raise UserError(
                    f"the host {self.host} has another slipway. Received: {shown}, there and here. Install the same."
                )
            sent = self.folder / "plan"
            sent.mkdir()
            self._headers = save_plan(sent, plan)
            send_files(self._channel, sent, PLAN_FILES)
            self._before = self._clock()
        except Lost as error:
            raise SlipwayError(
                f"no generator on the host {self.host}: {self._why(error)}. "
                "It needs ssh without a password, and this slipway in its --remote-python."
            ) from error

    def run(self, start_ns: int, cancelled: threading.Event) -> Told:
        settings = self._plan.settings
        planned_s = self._lead_s + settings.warmup_s + settings.duration_s + 2 * settings.timeout_s
        try:
            self._channel.send(
                "go",
                headers=self._headers,
                settings=asdict(settings),
                start_ns=start_ns + self._before.ahead_ns,
                lead_s=self._lead_s,
            )
            ended = self._until_ended(cancelled, planned_s + START_AND_SAVE_S + STOP_S + SILENT_S)
            offset = over(self._before, self._clock())
            self._channel.send("fetch")
            inbox = Inbox(self.folder, RESULT_FILES)
            deadline = time.monotonic() + FETCH_S
            while time.monotonic() < deadline and (frame := self._channel.receive(SILENT_S)) is not None:
                if not inbox.take(frame):
                    self._wait(STOP_S)  # it removes its files and ends
                    return told(ended, offset)
            raise Lost("its recording did not come")
        except Lost as error:
            return Told(self._why(error))
        except OSError as error:  # a full disk here costs this part, not the others
            return Told(f"its recording cannot be kept here: {error.strerror or error}")

    def look(self) -> Look | None:
        return self._look

    def kill(self) -> None:
        with self._guard:
            self._killed = True
            if self._process is not None:
                self._process.kill()  # its end of the pipes closes, and so does the agent's

    def close(self) -> None:
        self.kill()
        if self._process is not None:
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
        if self._log is not None:
            self._log.close()

    def _connected(self) -> Channel:
        self._log = (self.folder / "ssh.log").open("wb")
        command = f"exec {shlex.quote(self._hosts.python)} -P -m pipelines.loadtest.agent"
        with self._guard:
            if self._killed:
                raise Lost("stopped")
            self._process = process = subprocess.Popen(
                self._hosts.ssh("-T", "--", self._destination, command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                bufsize=0,
                start_new_session=True,  # Ctrl-C reaches the caller alone, who ends the test
            )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process was started without pipes")
        channel = Channel(process.stdout.fileno(), process.stdin.fileno())
        channel.skip_to(MARK, CONNECT_S + ANSWER_S)
        return channel

    def _clock(self) -> Offset:
        trips = []
        for _ in range(ROUND_TRIPS):
            sent = time.monotonic_ns()
            self._channel.send("clock")
            there = self._channel.expect("clock").facts.get("ns")
            if type(there) is not int or not 0 <= there < MOST_NS:
                raise Lost("it has no clock")
            trips.append((sent, there, time.monotonic_ns()))
        return offset_of(trips)

    def _until_ended(self, cancelled: threading.Event, limit_s: float) -> Frame:
        began = heard = beaten = time.monotonic()
        stopping = False
        while (now := time.monotonic()) - began < limit_s:
            frame = self._channel.receive(POLL_S)
            if frame is not None:
                heard = now
                if frame.kind == "ended":
                    return frame
                if frame.kind == "look":
                    self._look = unpacked(frame)
            if now - heard > SILENT_S:
                raise Lost(f"it was silent for {SILENT_S:g} s")
            if cancelled.is_set() and not stopping:
                stopping = True
                self._channel.send("stop")
            elif now - beaten >= BEAT_S:
                beaten = now
                self._channel.send("beat")
        raise Lost(f"it did not end within {limit_s:.0f} s")

    def _why(self, error: Lost) -> str:
        """What went wrong, with what ssh or the other side said last."""
        self._wait(1.0)
        with (self.folder / "ssh.log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_BYTES))
            said = _last_line(log.read(LOG_BYTES).decode("utf-8", "replace"))
        return f"{error}: {said}" if said else str(error)

    def _wait(self, seconds: float) -> None:
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)


def told(ended: Frame, offset: Offset) -> Told:
    """How a part ended that says so. Raises Lost for what nobody can say."""
    lost, governor, stolen = (ended.facts.get(name) for name in ("lost", "governor", "steal_share"))
    texts = [None if text is None else plain(text) for text in (lost, governor)]
    if stolen is not None and not (isinstance(stolen, int | float) and 0 <= stolen <= 1):
        raise Lost("it sent an end that cannot be")
    return Told(texts[0], offset.ahead_ns, offset.bound_ns / 1e3, texts[1], stolen)


def _last_line(text: str) -> str:
    return plain(" ".join(text.strip().splitlines()[-1:]))

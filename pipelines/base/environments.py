"""Keeps libraries that cannot lie beside slipway's own in folders of theirs, made once and cached.

Such a folder of Python libraries is laid over the interpreter's own packages by PYTHONPATH: what it holds comes first,
and PyTorch or TensorFlow need not be installed a second time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.base.errors import MissingExtra
from serving.guard import interrupts_deferred, tied

PLACE = "SLIPWAY_ENVIRONMENTS"
"""The environment variable with the folder in which environments are kept."""
TIMEOUT_S = 300.0
LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class Environment:
    """Pinned requirements (``name==version``), installed without their dependencies: list what is needed."""

    name: str
    requirements: tuple[str, ...]

    @property
    def key(self) -> str:
        """The name of its folder, which changes with the requirements and the Python version."""
        return key_of(self.name, *self.requirements, sys.version)


def key_of(name: str, *parts: str) -> str:
    """Return the name of a folder that changes with ``parts``."""
    return f"{name}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"


def kept_here() -> Path:
    """Return the folder in which environments are kept: what PLACE says, otherwise that of the current workspace."""
    return Path(os.environ.get(PLACE) or Path("artifacts", ".environments")).absolute()


def make(environment: Environment, kept: Path) -> Path:
    """Return the folder of an environment below ``kept``; pip makes it at the first call, whole or not at all.

    Raises MissingExtra, with pip's last words and the command, if pip fails or takes longer than TIMEOUT_S.
    """

    def install(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        said = run_tool([*command, "--target", str(folder), *environment.requirements])
        if said is not None:
            again = shlex.join(["pip", "install", "--no-deps", *environment.requirements])
            raise MissingExtra(f"the environment {environment.name} could not be made by `{again}`: {said}")

    return once(kept, environment.key, install)


def once(kept: Path, key: str, fill: Callable[[Path], None]) -> Path:
    """Return the folder ``key`` below ``kept``; ``fill`` writes into an empty one aside at the first call.

    It appears whole or not at all; of two that want the same, the second waits. Raises what ``fill`` raises.
    """
    place = kept / key
    if place.is_dir():  # a process in a cage may read it, and not write the lock
        return place
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / f".{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place.is_dir():
            return place
        beside = place.with_suffix(".making")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        try:
            fill(beside)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        beside.rename(place)
    return place


def run_tool(command: list[str], folder: Path | None = None, env: Mapping[str, str] | None = None) -> str | None:
    """Run a command in a session of its own, in ``folder``; return None, or its last words if it failed.

    ``env`` is added to the environment. It is ended after TIMEOUT_S, and, on Linux, when this process is killed.
    """
    with interrupts_deferred():
        tool = subprocess.Popen(
            tied(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            cwd=folder,
            env={**os.environ, **(env or {})},
        )
    try:
        output, _ = tool.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"it had not finished after {TIMEOUT_S:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(tool.pid, signal.SIGKILL)
        tool.wait()
    lines = [line for line in output.splitlines() if line.strip()]
    return None if tool.returncode == 0 else " / ".join(lines[-LAST_LINES:]) or f"exit code {tool.returncode}"

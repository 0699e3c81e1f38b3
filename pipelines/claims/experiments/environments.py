"""Keeps libraries that cannot lie beside slipway's own in folders of theirs, made by pip and cached.

Such a folder is laid over the interpreter's own packages by PYTHONPATH: what it holds comes first, and PyTorch or
TensorFlow need not be installed a second time.
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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.base.errors import MissingExtra
from serving.guard import interrupts_deferred, tied

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
        words = " ".join((*self.requirements, sys.version))
        return f"{self.name}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"


def make(environment: Environment, kept: Path) -> Path:
    """Return the folder of an environment below ``kept``; pip makes it at the first call, whole or not at all.

    Raises MissingExtra, with pip's last words and the command, if pip fails or takes longer than TIMEOUT_S.
    """
    place = kept / environment.key
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / f".{environment.key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place.is_dir():
            return place
        beside = place.with_suffix(".making")
        shutil.rmtree(beside, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--target", str(beside), *environment.requirements]
        said = _run(command)
        if said is not None:
            shutil.rmtree(beside, ignore_errors=True)
            again = shlex.join(["pip", "install", "--no-deps", *environment.requirements])
            raise MissingExtra(f"the environment {environment.name} could not be made by `{again}`: {said}")
        beside.rename(place)
    return place


def _run(command: list[str]) -> str | None:
    """Run pip in a session of its own; return None, or its last words."""
    with interrupts_deferred():
        pip = subprocess.Popen(
            tied(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
    try:
        output, _ = pip.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"it had not finished after {TIMEOUT_S:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pip.pid, signal.SIGKILL)
        pip.wait()
    lines = [line for line in output.splitlines() if line.strip()]
    return None if pip.returncode == 0 else " / ".join(lines[-LAST_LINES:]) or f"exit code {pip.returncode}"

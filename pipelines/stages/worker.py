"""Runs one stage of one path in a process of its own.

A crash, a missing library or a clash of libraries costs one row, never the run. Memory and CPU time come from
the operating system's accounting of the finished process. The parent imports no framework.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import SlipwayError
from pipelines.base.files import read_bounded, scratch
from pipelines.stages.cage import Cage, environment
from pipelines.stages.child import KINDS
from pipelines.stages.forks import Fork, Forks
from serving.guard import interrupts_deferred
from serving.launch import NO_TELEMETRY, log_tail

if TYPE_CHECKING:
    from pipelines.results import StageUsage

DEFAULT_TIMEOUT_S = 1_800.0
POLL_S = 0.01
MOST_ANSWER = 2**30
PROGRESS = "progress: "
"""A stage prints a line that begins so for whoever waits for it."""
# Messages that a framework prints on import would bury those about the user's model. For TensorFlow, a machine without
# a GPU is an error (level 2); its errors about a model are exceptions.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1", **NO_TELEMETRY}


class StageFailed(SlipwayError):
    """A stage ended with an error, was killed, or took too long."""


@dataclass(frozen=True, slots=True)
class StageResult:
    """The return value of a stage (plain JSON data), what its process used, and what held of its cage."""

    value: Any
    usage: StageUsage
    held: tuple[str, ...] = ()


def run_stage(
    stage: str,
    request: dict[str, Any],
    log: Path,
    cancel: threading.Event | None = None,
    threads: int | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    tell: Callable[[str], None] = lambda line: None,  # noqa: ARG005
    overlay: Path | None = None,
    cage: Cage | None = None,
    fork: tuple[Forks, Sequence[str]] | None = None,
) -> StageResult:
    """Run ``pipelines.stages.functions.STAGE(**request)`` in a new process; its output goes to ``log``.

    ``stage`` may also name a function elsewhere, as ``module:function``. ``overlay`` is a folder of packages that come
    before the installed ones. ``threads`` bounds every runtime's thread pools through their common environment
    variables. ``tell`` gets each line of progress when the stage prints it. ``cage`` is for stages that open a
    stranger's file: they have limits, an empty folder to work in, and none of this process's own variables. ``fork``
    gives the modules that the process is to have imported before it begins, and what forks such a process.

    Raises:
        UserError, MissingExtra, SlipwayError: as the stage raised them.
        StageFailed: anything else, with the last lines of the log; also when ``cancel`` was set.
    """
    if cage is not None and fork is not None:
        raise ValueError("a fork has no cage")
    log.parent.mkdir(parents=True, exist_ok=True)
    with scratch("stage") as folder, log.open("ab") as output, log.open("rb") as printed:
        printed.seek(0, io.SEEK_END)
        request_file, answer_file = folder / "request.json", folder / "answer.json"
        request_file.write_text(json.dumps(request))
        limits = {} if threads is None else dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        first = {} if overlay is None else {"PYTHONPATH": os.pathsep.join([str(overlay), *_paths()])}
        started = time.monotonic()
        command = [sys.executable, "-P", "-m", "pipelines.stages.child", stage, str(request_file), str(answer_file)]
        if cage is not None:
            (folder / "work").mkdir()
        given = dict(os.environ) if cage is None else environment(folder / "work")
        process: _Own | Fork | None = None
        try:
            if fork is not None:
                forks, modules = fork
                process = forks.begin(modules, command[-3:], folder, log, {**QUIET, **limits, **first})
            else:
                with interrupts_deferred():
                    process = _Own(
                        subprocess.Popen(
                            [*command, str(os.getpid()), *([json.dumps(asdict(cage))] if cage else [])],
                            stdin=subprocess.DEVNULL,
                            stdout=output,
                            stderr=subprocess.STDOUT,
                            env={**given, **QUIET, **limits, **first, "TMPDIR": str(folder)},
                            cwd=None if cage is None else folder / "work",
                            start_new_session=True,
                        )
                    )
            from pipelines.results import StageUsage  # now: it takes as long as the process takes to start

            status, cpu_s = _wait(process, started, timeout_s, cancel, lambda: _pass_on(printed, tell))
            wall_s = time.monotonic() - started
        finally:
            if process is not None:
                process.end()
        answer = json.loads(read_bounded(answer_file, MOST_ANSWER, stage)) if answer_file.exists() else None
    if answer is not None and "error" in answer:
        kind = KINDS.get(answer["kind"])
        if kind is not None:
            raise kind(answer["error"])
        raise StageFailed(f"{answer['error']}\n{log_tail(log)}")
    if answer is None or status != 0:
        how = f"signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"exit code {status}"
        raise StageFailed(f"the process of stage {stage} ended without an answer: {how}\n{log_tail(log)}".rstrip())
    usage = StageUsage(wall_s, cpu_s, answer["peak_rss_bytes"])
    return StageResult(answer["value"], usage, tuple(answer["held"]))


class _Own:
    """A process of a stage's own, not forked."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def poll(self) -> tuple[int, float] | None:
        """Return the exit code and CPU seconds, of it and of those that it waited for, once it has ended."""
        pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
        if not pid:
            return None
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode, used.ru_utime + used.ru_stime

    def end(self) -> None:
        """End the whole group, even if the leader has ended: a stage leaves nothing behind."""
        with suppress(ProcessLookupError):  # the group is empty
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.returncode is None:
            self._process.wait()


def _wait(
    process: _Own | Fork,
    started: float,
    timeout_s: float,
    cancel: threading.Event | None,
    meanwhile: Callable[[], None],
) -> tuple[int, float]:
    """Wait; return the exit code, and the CPU seconds of the process and of those it waited for."""
    while True:
        ended = process.poll()
        meanwhile()
        if ended is not None:
            return ended
        if cancel is not None and cancel.is_set():
            raise StageFailed("cancelled")
        if time.monotonic() - started > timeout_s:
            raise StageFailed(f"stopped, because it had not finished after {timeout_s:.0f} s")
        time.sleep(POLL_S)


def _pass_on(printed: io.BufferedReader, tell: Callable[[str], None]) -> None:
    """Tell the lines of progress among those that were added to a log."""
    while (line := printed.readline()).endswith(b"\n"):
        text = line.decode(errors="replace").rstrip()
        if text.startswith(PROGRESS):
            tell(text.removeprefix(PROGRESS))
    printed.seek(-len(line), io.SEEK_CUR)  # the beginning of a line


def _paths() -> list[str]:
    """Return the folders that PYTHONPATH already names."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]

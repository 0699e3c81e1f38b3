"""Starts the training scripts, several at once, and leaves none of their processes behind."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from pipelines.base.errors import SlipwayError
from serving.guard import tied
from serving.launch import LOOPBACK, free_ports, log_tail

HERE = __name__.rpartition(".")[0]
SCRIPTS = Path(__file__).parent / "scripts"
MARK = "SLIPWAY_EXPERIMENT"
"""The variable that everything started here inherits: torchrun's workers have sessions of their own."""
WORKERS = 2
POLL_S = 0.05
QUIET = {"GLOO_SOCKET_IFNAME": "lo", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
OWN_STORE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""By default, all attempts of torchrun (PyTorch 2.13) share one store: workers that were started again may find there
the addresses of those that died, and gloo then waits for ever. ``dynamic_rendezvous.py`` reads this variable."""


def script(name: str, *words: object) -> list[str]:
    """Return the command that runs a script in this interpreter."""
    return [sys.executable, "-m", f"{HERE}.scripts.{name.replace('/', '.')}", *map(str, words)]


def imported(name: str) -> tuple[str, ...]:
    """Name the modules that a process may begin with which is to run a script."""
    return ("tensorflow", "keras") if name.startswith("keras") else ("torch",)


def run_here(name: str, *words: object) -> None:
    """Run a script in this process as its command does: for a fresh one, which may have its imports behind it."""
    sys.argv[1:] = map(str, words)
    runpy.run_module(f"{HERE}.scripts.{name.replace('/', '.')}", run_name="__main__", alter_sys=True)


def torchrun(name: str, *words: object, options: Sequence[str] = ("--nnodes", "1")) -> list[str]:
    """Return the command that runs a script in two workers of torchrun, which meet on a free port of the loopback."""
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{LOOPBACK}:{free_ports(1)[0]}"]
    given = ["--nproc-per-node", str(WORKERS), *rendezvous, "--local-addr", LOOPBACK, *options]
    return [sys.executable, "-m", "torch.distributed.run", *given, *script(name, *words)[1:]]


def cluster() -> list[dict[str, str]]:
    """Return the TF_CONFIG of each of two workers."""
    places = {"worker": [f"{LOOPBACK}:{port}" for port in free_ports(WORKERS)]}
    return [
        {"TF_CONFIG": json.dumps({"cluster": places, "task": {"type": "worker", "index": rank}})}
        for rank in range(WORKERS)
    ]


@contextmanager
def launched(
    command: Sequence[str], log: Path, environments: Sequence[Mapping[str, str]] = ({},)
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start a command once for each environment; at the end of the block all is killed that came of it.

    If this process is killed, the kernel ends what it started.
    """
    mark = uuid.uuid4().hex
    running: list[subprocess.Popen[bytes]] = []
    try:
        for number, environment in enumerate(environments):
            with log.with_suffix(f".{number}.log").open("ab") as output:
                variables = {**os.environ, **QUIET, **OWN_STORE, **environment, MARK: mark}
                running.append(
                    subprocess.Popen(
                        tied(command), env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
                    )
                )
        yield running
    finally:
        kill_all(mark)
        for process in running:
            process.wait()


def kill_all(mark: str) -> None:
    """Kill whatever carries the mark, until nothing does: a process may start another while it is being looked at."""
    while left := [process for process in psutil.process_iter() if _marked(process, mark)]:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=5)


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def finished(running: Sequence[subprocess.Popen[bytes]], timeout_s: float) -> list[int]:
    """Wait for all; return their exit codes. Raises SlipwayError for what takes longer."""
    try:
        return [process.wait(timeout_s) for process in running]
    except subprocess.TimeoutExpired as error:
        raise SlipwayError(f"a training script had not finished after {timeout_s:.0f} s") from error


def first_to_fail(running: Sequence[subprocess.Popen[bytes]], timeout_s: float) -> list[int | None]:
    """Wait until one fails or all have ended; return the exit codes, None of what still runs.

    Raises SlipwayError if neither happens in time.
    """
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        codes = [process.poll() for process in running]
        if any(codes) or None not in codes:
            return codes
        time.sleep(POLL_S)
    raise SlipwayError(f"a training script had not finished after {timeout_s:.0f} s")


def complete(command: Sequence[str], log: Path, environments: Sequence[Mapping[str, str]], timeout_s: float) -> None:
    """Run a command to its end. Raises SlipwayError, with its last words, for an exit code other than 0."""
    with launched(command, log, environments) as running:
        codes = finished(running, timeout_s)
    for number, code in enumerate(codes):
        if code != 0:
            raise SlipwayError(f"a training script failed with {code}: {log_tail(log.with_suffix(f'.{number}.log'))}")

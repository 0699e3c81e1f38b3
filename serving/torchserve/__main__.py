"""``python -m serving.torchserve serve|ready|token``: TorchServe in a container, with the settings it has as a process.

``serve`` becomes the Java frontend and runs until SIGTERM. ``ready`` exits with 0 when a worker has
loaded the model and both inference ports listen, else with 1 and the reason: a health check.
``token`` prints the key that clients send. The last two are run beside the first, in its folder.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from serving.torchserve.state import LOOPBACK, accepts, is_ready, key

BAD_ARGUMENTS = 2
NOT_READY = 1
USAGE = "%(prog)s {serve,ready,token} [--FLAG=VALUE ...]"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, with TorchServe's default ports. A mistake ends the process with exit code 2 and one line."""
    parser = argparse.ArgumentParser(prog="python -m serving.torchserve", usage=USAGE, allow_abbrev=False)
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument("--model_name", help="the model, and the stem of its archive's name")
    parser.add_argument("--model_store", type=Path, help="folder that holds MODEL_NAME.mar")
    parser.add_argument("--workdir", default=Path.cwd(), type=Path, help="folder for what it writes (default: here)")
    parser.add_argument("--host", default=LOOPBACK, help="address of the inference ports")
    parser.add_argument("--http_port", default=8080, type=int)
    parser.add_argument("--grpc_port", default=7070, type=int)
    parser.add_argument("--management_port", default=8081, type=int, help="always on the loopback address")
    parser.add_argument("--metrics_port", default=8082, type=int, help="always on the loopback address")
    parser.add_argument("--grpc_management_port", default=7071, type=int, help="always on the loopback address")
    parser.add_argument("--threads", default=1, type=int, help="compute threads of one prediction")
    chosen = parser.parse_args(argv)
    if chosen.command != "token" and not chosen.model_name:
        parser.error(f"{chosen.command} needs --model_name=NAME. Received: none")
    if chosen.command == "serve" and chosen.model_store is None:
        parser.error("serve needs --model_store=FOLDER. Received: none")
    return chosen


def serve(chosen: argparse.Namespace) -> int:
    """Becomes the frontend; returns only if it cannot."""
    from serving.launch import LaunchError
    from serving.torchserve.frontend import Frontend, prepare

    names = ("host", "http_port", "grpc_port", "management_port", "metrics_port", "grpc_management_port", "threads")
    given = {"rest_port" if name == "http_port" else name: getattr(chosen, name) for name in names}
    workdir = chosen.workdir.resolve()
    archive = chosen.model_store / f"{chosen.model_name}.mar"
    if not os.access(archive, os.R_OK):
        return _say(
            f"no model archive that can be read. Received: {archive}. "
            f"Package the model first: slipway package {chosen.model_name} torchserve",
            BAD_ARGUMENTS,
        )
    if not os.access(workdir, os.W_OK):
        return _say(f"--workdir must be a folder that can be written to. Received: {workdir}", BAD_ARGUMENTS)
    try:
        argv, environment = prepare(Frontend(chosen.model_name, chosen.model_store.resolve(), workdir, **given))
    except LaunchError as error:
        return _say(str(error), BAD_ARGUMENTS)
    os.chdir(workdir)
    os.execve(argv[0], argv, {**os.environ, **environment})  # noqa: S606 - no shell is wanted


def ready(chosen: argparse.Namespace) -> int:
    """0 if it can predict."""
    try:
        if not is_ready(chosen.model_name, chosen.management_port, chosen.workdir):
            return _say(f"no worker has loaded {chosen.model_name} yet", NOT_READY)
        host = LOOPBACK if chosen.host == "0.0.0.0" else chosen.host  # noqa: S104 - compared with, not bound to
        for port in (chosen.http_port, chosen.grpc_port):
            accepts(host, port)
    except OSError as error:
        return _say(f"not there yet: {error}", NOT_READY)
    return 0


def token(chosen: argparse.Namespace) -> int:
    """Prints the inference key, and nothing else."""
    try:
        print(key(chosen.workdir, "inference"))
    except OSError as error:
        return _say(f"there are no keys yet: {error}", NOT_READY)
    return 0


def _say(line: str, code: int) -> int:
    print(f"torchserve: {line}", file=sys.stderr)
    return code


COMMANDS = {"serve": serve, "ready": ready, "token": token}


if __name__ == "__main__":
    chosen = arguments()
    sys.exit(COMMANDS[chosen.command](chosen))

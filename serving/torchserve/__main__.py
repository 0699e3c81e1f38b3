"""``python -m serving.torchserve serve|ready|token|key``: TorchServe in a container, set up as it is as a process.

``serve`` runs the Java frontend until SIGTERM. ``ready`` exits with 0 when a worker has loaded the
model and both inference ports listen, else with 1 and the reason: a health check. ``token`` prints the
key that clients send. These two are run beside the first, in its folder. ``key`` writes a new key into
``--key_file`` unless there is one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

from serving.limits import MB, memory_limit, shortage
from serving.torchserve.state import LOOPBACK, accepts, is_ready, key

BAD_ARGUMENTS = 2
NOT_READY = 1
NEEDED_BYTES = 600 * MB  # frontend, worker and a small model: 585 MB at their peak
CLASSES = Path("/opt/slipway/java")  # where the Dockerfile puts what it compiles
AGAIN = "slipway package {} torchserve; with docker compose: docker compose run --rm build"
USAGE = "%(prog)s {serve,ready,token,key} [--FLAG=VALUE ...]"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line, with TorchServe's default ports. A mistake ends the process with code 2 and one line."""
    parser = argparse.ArgumentParser(prog="python -m serving.torchserve", usage=USAGE, allow_abbrev=False)
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument("--model_name", help="the model, and the stem of its archive's name")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model_store", type=Path, help="folder that holds MODEL_NAME.mar")
    source.add_argument(
        "--releases", type=Path, metavar="FOLDER", help="releases to serve the pinned one of: NUMBER/model-store"
    )
    parser.add_argument("--workdir", default=Path.cwd(), type=Path, help="folder for what it writes (default: here)")
    parser.add_argument("--host", default=LOOPBACK, help="address of the inference ports")
    parser.add_argument("--http_port", default=8080, type=int)
    parser.add_argument("--grpc_port", default=7070, type=int)
    parser.add_argument("--management_port", default=8081, type=int, help="always on the loopback address")
    parser.add_argument("--metrics_port", default=8082, type=int)
    parser.add_argument("--metrics_host", help="address of Prometheus' metrics (default: no metrics)")
    parser.add_argument("--ready_port", type=int, help="port of --host where GET /ready tells whether it can predict")
    parser.add_argument(
        "--key_file",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="the clients' key; repeated: the first that is not empty (default: TorchServe makes its own keys)",
    )
    parser.add_argument("--grpc_management_port", default=7071, type=int, help="always on the loopback address")
    parser.add_argument("--threads", default=1, type=int, help="compute threads of one prediction")
    chosen = parser.parse_args(argv)
    if chosen.command == "key" and len(chosen.key_file) != 1:
        parser.error(f"key needs --key_file=FILE once. Received: {len(chosen.key_file)}")
    if chosen.command in ("serve", "ready") and not chosen.model_name:
        parser.error(f"{chosen.command} needs --model_name=NAME. Received: none")
    if chosen.command == "serve" and chosen.model_store is None and chosen.releases is None:
        parser.error("serve needs --model_store=FOLDER or --releases=FOLDER. Received: neither")
    return chosen


def serve(chosen: argparse.Namespace) -> int:
    """Run the frontend until it ends; its exit code."""
    from serving.container.releases import Follower, NoRelease
    from serving.launch import LaunchError
    from serving.torchserve.frontend import Frontend, prepare
    from serving.torchserve.keys import read_key, write_keys
    from serving.torchserve.supervise import Command, Supervisor
    from serving.torchserve.versions import Versions

    names = ("host", "http_port", "grpc_port", "management_port", "metrics_port", "grpc_management_port", "threads")
    given = {"rest_port" if name == "http_port" else name: getattr(chosen, name) for name in names}
    workdir = chosen.workdir.resolve()
    try:
        follower = Follower(chosen.releases) if chosen.releases else None
    except NoRelease as error:
        return _say(f"{error}. Package the model first: {AGAIN.format(chosen.model_name)}", BAD_ARGUMENTS)
    store = follower.folder / "model-store" if follower else chosen.model_store
    archive = store / f"{chosen.model_name}.mar"
    wrong = shortage("TorchServe", NEEDED_BYTES, memory_limit()) or _unusable(archive)
    if wrong is not None:
        return _say(wrong, BAD_ARGUMENTS)
    if not os.access(workdir, os.W_OK):
        return _say(f"--workdir must be a folder that can be written to. Received: {workdir}", BAD_ARGUMENTS)
    try:
        keys = write_keys(workdir, read_key(chosen.key_file)) if chosen.key_file else None
    except LaunchError as error:
        return _say(str(error), BAD_ARGUMENTS)
    own = workdir / "store"
    versions = Versions(chosen.model_name, own, workdir, chosen.http_port, chosen.management_port)
    frontend = Frontend(
        chosen.model_name,
        own if follower else store.resolve(),
        workdir,
        metrics_host=chosen.metrics_host,
        keys=keys,
        classes=CLASSES if keys else None,
        **given,
    )

    def command() -> Command:
        shutil.rmtree(workdir / "tmp", ignore_errors=True)  # what a frontend before this one has unpacked
        if follower is not None:
            shutil.rmtree(own, ignore_errors=True)
            versions.add(follower.folder, follower.number)
        argv, environment = prepare(replace(frontend, release=follower.number if follower else None))
        return argv, {**os.environ, **environment}

    listen = None if chosen.ready_port is None else (chosen.host, chosen.ready_port)
    try:
        return Supervisor(versions, follower).run(command, listen)
    except LaunchError as error:
        return _say(str(error), BAD_ARGUMENTS)


def _unusable(archive: Path) -> str | None:
    """Return the fault of a model archive, None if it can be read to its end."""
    again = AGAIN.format(archive.stem)
    if not os.access(archive, os.R_OK):
        return f"no model archive that can be read. Received: {archive}. Package the model first: {again}"
    try:
        with zipfile.ZipFile(archive) as opened:
            damaged = opened.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error) as error:
        damaged = str(error)
    if damaged is not None:
        return f"{archive} is damaged ({damaged}). Package the model again: {again}"
    return None


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


def make(chosen: argparse.Namespace) -> int:
    """Writes a key, unless there is one."""
    from serving.launch import LaunchError
    from serving.torchserve.keys import make_key

    (file,) = chosen.key_file
    try:
        made = make_key(file)
    except LaunchError as error:
        return _say(str(error), BAD_ARGUMENTS)
    print(f"torchserve: {'made a key for its clients' if made else 'the clients keep their key'}: {file}")
    return 0


def _say(line: str, code: int) -> int:
    print(f"torchserve: {line}", file=sys.stderr)
    return code


COMMANDS = {"serve": serve, "ready": ready, "token": token, "key": make}


if __name__ == "__main__":
    chosen = arguments()
    sys.exit(COMMANDS[chosen.command](chosen))

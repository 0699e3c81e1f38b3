"""``python -m serving.open_inference serve|ready``: one model behind the Open Inference Protocol, version 2.

``serve`` answers REST on ``--http_port`` and gRPC on ``--grpc_port``, both on ``--host`` (the loopback
address unless told), until SIGTERM or SIGINT. ``ready`` exits with 0 when the model is loaded and both
ports answer, else with 1 and the reason: a health check, to be run beside the first.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from serving.limits import MB, give_memory_back, memory_limit, shortage
from serving.open_inference.runtimes import RUNTIMES, find_model, runtime, runtime_of

BAD_ARGUMENTS = 2
NOT_READY = 1
LOOPBACK = "127.0.0.1"
AGAIN = "slipway package {} {}; with docker compose: docker compose run --rm build"
USAGE = "%(prog)s {serve,ready} [--FLAG=VALUE ...]"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line. A mistake ends the process with exit code 2 and one line."""
    parser = argparse.ArgumentParser(prog="python -m serving.open_inference", usage=USAGE, allow_abbrev=False)
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument("--model_name", required=True, help="name of the model in the protocol's paths")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model_path", type=Path, help="the model's file, whose ending tells its runtime")
    source.add_argument(
        "--releases", type=Path, metavar="FOLDER", help="releases to serve the pinned one of: NUMBER/MODEL/model.ENDING"
    )
    parser.add_argument(
        "--runtime", choices=list(RUNTIMES), help="runtime that computes (default: by the file's ending)"
    )
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on")
    parser.add_argument("--http_port", default=8080, type=int)
    parser.add_argument("--grpc_port", default=8081, type=int)
    parser.add_argument("--threads", default=1, type=int, help="compute threads of one prediction")
    parser.add_argument("--max_body_bytes", default=64 * MB, type=int, help="of a body, received or decompressed")
    parser.add_argument(
        "--max_inflation", default=100, type=int, help="a body may be decompressed to so many times its size"
    )
    parser.add_argument(
        "--max_held_bytes", type=int, help="of all bodies at a time, half-sent ones too (default: two of the largest)"
    )
    parser.add_argument(
        "--allow_repository_api",
        action="store_true",
        help="open the model repository API: whoever reaches the server may unload the model",
    )
    chosen = parser.parse_args(argv)
    if chosen.command == "serve" and chosen.model_path is None and chosen.releases is None:
        parser.error("serve needs --model_path=FILE or --releases=FOLDER. Received: neither")
    if chosen.max_held_bytes is None:
        chosen.max_held_bytes = 2 * chosen.max_body_bytes
    for name in ("threads", "max_body_bytes", "max_inflation", "max_held_bytes"):
        if getattr(chosen, name) < 1:
            parser.error(f"--{name} must be 1 or more. Received: {getattr(chosen, name)}")
    return chosen


def serve(chosen: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    from serving.container.releases import CannotSwitch, Follower, NoRelease
    from serving.launch import PortInUse, check_port

    try:
        follower = Follower(chosen.releases) if chosen.releases else None
    except NoRelease as error:
        return _say(f"{error}. Package the model first: {_again(chosen, chosen.runtime)}", BAD_ARGUMENTS)
    path = _model_file(follower.folder, chosen.model_name) if follower else chosen.model_path
    name = chosen.runtime or runtime_of(path)
    first = f"Received: {path}. Package the model first: {_again(chosen, name)}"
    if not path.is_file() or not os.access(path, os.R_OK):
        return _say(f"the model must be a file that can be read. {first}", BAD_ARGUMENTS)
    if name is None:
        endings = ", ".join(file.removeprefix("model") for files in RUNTIMES.values() for file in files)
        return _say(f"the model must end in {endings}, or --runtime name its runtime. {first}", BAD_ARGUMENTS)
    needs = runtime(name)
    wrong = shortage(f"KServe's server with {needs.TITLE}", needs.NEEDED_MB * MB, memory_limit())
    if wrong is not None:
        return _say(wrong, BAD_ARGUMENTS)
    try:
        # Both before either is served: a server with one port of its own, and one of somebody else's, looks ready.
        for port in (chosen.http_port, chosen.grpc_port):
            check_port(chosen.host, port)
    except PortInUse as error:
        return _say(str(error), BAD_ARGUMENTS)
    # After the arguments: KServe takes seconds to import, and reads the command line itself.
    from serving.open_inference.bodies import Bounds
    from serving.open_inference.dataplane import VERSION
    from serving.open_inference.errors import BadModel, RuntimeMissing
    from serving.open_inference.model import ServedModel
    from serving.open_inference.server import HostModelServer

    if not needs.MALLOCS:
        give_memory_back()
    version = str(follower.number) if follower else VERSION
    model = ServedModel(chosen.model_name, name, path, chosen.threads, version)
    try:
        model.load()
    except RuntimeMissing as error:
        return _say(str(error), BAD_ARGUMENTS)
    except BadModel as error:
        return _say(f"{error}. Package the model again: {_again(chosen, name)}", BAD_ARGUMENTS)
    where = f"{chosen.host}, REST on port {chosen.http_port}, gRPC on port {chosen.grpc_port}"
    print(f"open_inference: serving {chosen.model_name} on {where}", file=sys.stderr, flush=True)
    bounds = Bounds(chosen.max_body_bytes, chosen.max_inflation, chosen.max_held_bytes)
    server = HostModelServer(
        chosen.host, chosen.http_port, chosen.grpc_port, bounds, has_repository=chosen.allow_repository_api
    )

    def switch(number: int, folder: Path) -> None:
        file = _model_file(folder, chosen.model_name)
        by = chosen.runtime or runtime_of(file) or name
        new = ServedModel(chosen.model_name, by, file, chosen.threads, str(number))
        try:
            new.load()
        except BadModel as error:
            raise CannotSwitch(str(error)) from error
        server.replace(new)

    server.start([model], (lambda: follower.follow(switch)) if follower else (lambda: None))
    return 0


def _model_file(release: Path, model: str) -> Path:
    return find_model(release / model) or release / model


def _again(chosen: argparse.Namespace, runtime_name: str | None) -> str:
    return AGAIN.format(chosen.model_name, runtime_name or next(iter(RUNTIMES)))


def ready(chosen: argparse.Namespace) -> int:
    """Return 0 if the model can predict."""
    from serving.open_inference.state import is_ready

    host = LOOPBACK if chosen.host == "0.0.0.0" else chosen.host  # noqa: S104 - compared with, not bound to
    try:
        if not is_ready(chosen.model_name, host, chosen.http_port, chosen.grpc_port):
            return _say(f"{chosen.model_name} is not loaded yet", NOT_READY)
    except OSError as error:
        return _say(f"not there yet: {error}", NOT_READY)
    return 0


def _say(line: str, code: int) -> int:
    print(f"open_inference: {line}", file=sys.stderr)
    return code


COMMANDS = {"serve": serve, "ready": ready}


if __name__ == "__main__":
    chosen = arguments()
    # KServe parses the command line of the process when it is imported, and knows none of these words.
    sys.argv = sys.argv[:1]
    sys.exit(COMMANDS[chosen.command](chosen))

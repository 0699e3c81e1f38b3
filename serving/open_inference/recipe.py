"""Starts the Open Inference Protocol server for an artifact, and tells when it can predict."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

from serving.launch import LaunchError, LaunchRequest, Recipe
from serving.open_inference.runtimes import find_model, runtime, runtime_of
from serving.open_inference.state import is_ready
from serving.wire.addresses import host_port

FLAVOURS = ("kserve",)


def served(request: LaunchRequest) -> tuple[Path, str]:
    """Return the file in ``MODEL/`` of the payload, and the runtime that loads it. Raises LaunchError if none does."""
    path = find_model(request.payload.resolve() / request.model)
    name = runtime_of(path) if path else None
    if path is None or name is None:
        raise LaunchError(f"no file that a runtime loads. Received: {request.payload / request.model}")
    return path, name


def recipe(request: LaunchRequest) -> Recipe:
    """KServe's Python server with the runtime that loads the model's file. Raises LaunchError if none does."""
    path, name = served(request)
    options = {
        "--model_name": request.model,
        "--model_path": str(path),
        "--host": request.host,
        "--http_port": str(request.rest_port),
        "--grpc_port": str(request.grpc_port),
        "--threads": str(request.threads),
    }
    computes = runtime(name)
    kserve, version = (importlib.metadata.version(one) for one in ("kserve", computes.DISTRIBUTIONS[0]))
    return Recipe(
        server=f"KServe {kserve} Python server, {computes.TITLE} {version}",
        argv=(
            sys.executable,
            "-P",
            "-m",
            "serving.open_inference",
            "serve",
            *(part for pair in options.items() for part in pair),
        ),
        endpoints={
            "open-inference-rest": f"http://{host_port(request.host, request.rest_port)}",
            "open-inference-rest-binary": f"http://{host_port(request.host, request.rest_port)}",
            "open-inference-grpc": f"grpc://{host_port(request.host, request.grpc_port)}",
        },
        ready=lambda: is_ready(request.model, request.host, request.rest_port, request.grpc_port),
        # numpy's and other libraries' own thread pools have nothing to do here.
        env={"OMP_NUM_THREADS": str(request.threads)},
    )

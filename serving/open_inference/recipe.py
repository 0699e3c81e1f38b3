"""Starts the Open Inference Protocol server for an artifact, and tells when it can predict."""

from __future__ import annotations

import importlib.metadata
import sys

from serving.launch import LaunchRequest, Recipe
from serving.open_inference.state import is_ready
from serving.wire.addresses import host_port

FLAVOURS = ("kserve",)


def recipe(request: LaunchRequest) -> Recipe:
    """KServe's Python server with ONNX Runtime for ``MODEL/model.onnx`` of the payload."""
    options = {
        "--model_name": request.model,
        "--model_path": str(request.payload.resolve() / request.model / "model.onnx"),
        "--host": request.host,
        "--http_port": str(request.rest_port),
        "--grpc_port": str(request.grpc_port),
        "--threads": str(request.threads),
    }
    kserve, runtime = (importlib.metadata.version(name) for name in ("kserve", "onnxruntime"))
    return Recipe(
        server=f"KServe {kserve} Python server, ONNX Runtime {runtime}",
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

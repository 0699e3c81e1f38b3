"""How the Open Inference Protocol server is started for an artifact, and when it can predict."""

from __future__ import annotations

import http.client
import importlib.metadata
import socket
import sys

from serving.launch import LaunchRequest, Recipe

FLAVOURS = ("kserve",)
_TIMEOUT_S = 5.0


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
            *(part for pair in options.items() for part in pair),
        ),
        endpoints={
            "open-inference-rest": f"http://{request.host}:{request.rest_port}",
            "open-inference-grpc": f"grpc://{request.host}:{request.grpc_port}",
        },
        ready=lambda: _ready(request),
        # numpy's and other libraries' own thread pools have nothing to do here.
        env={"OMP_NUM_THREADS": str(request.threads)},
    )


def _ready(request: LaunchRequest) -> bool:
    """Whether the model is ready over REST, and the gRPC port listens."""
    connection = http.client.HTTPConnection(request.host, request.rest_port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", f"/v2/models/{request.model}/ready")
        response = connection.getresponse()
        response.read()
    except http.client.HTTPException as error:
        raise OSError(f"KServe's REST port: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        return False
    with socket.create_connection((request.host, request.grpc_port), timeout=_TIMEOUT_S):
        return True

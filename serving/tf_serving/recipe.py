"""Start a server of TensorFlow Serving's API: the embedded one, or Google's."""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import shutil
import socket
import subprocess
import sys
from urllib.parse import quote

from serving.clients import ProtocolError
from serving.extras import install_command
from serving.launch import LaunchError, LaunchRequest, Recipe
from serving.tf_serving.runtime.tflite import MODEL_FILE
from serving.wire.addresses import host_port

FLAVOURS = ("embedded", "native")
NATIVE = "tensorflow_model_server"

_PROBE_S = 5.0


def recipe(request: LaunchRequest) -> Recipe:
    """Describe how to start a server for ``request.payload``, a model's base path, and how to see that it is ready.

    The embedded server listens on ``request.host`` only; tensorflow_model_server has no flag for an
    address and listens on all of them.

    Raises:
        LaunchError: the flavour is unknown, the payload is not a folder, or the server is not installed.
    """
    flavour = request.flavour or FLAVOURS[0]
    if flavour not in FLAVOURS:
        raise LaunchError(f"unknown flavour of the TF Serving server. Received: {flavour!r}. Known: {FLAVOURS}.")
    if not request.payload.is_dir():
        raise LaunchError(f"the payload must be a folder with versions of a model. Received: {request.payload}")
    command, server = _embedded(request) if flavour == "embedded" else _native()
    return Recipe(
        server=server,
        argv=(
            *command,
            *flags(request, str(request.payload.resolve()), request.rest_port, request.grpc_port),
        ),
        endpoints={
            "tf-serving-rest": f"http://{host_port(request.host, request.rest_port)}",
            "tf-serving-grpc": f"grpc://{host_port(request.host, request.grpc_port)}",
        },
        ready=lambda: is_available(request) and _accepts(request.host, request.grpc_port),
    )


def flags(request: LaunchRequest, base_path: str, rest_port: int, grpc_port: int) -> tuple[str, ...]:
    """Make the flags of both servers, in a process and in a container, where base path and ports are others."""
    chosen: dict[str, object] = {
        "port": grpc_port,
        "rest_api_port": rest_port,
        "model_name": request.model,
        "model_base_path": base_path,
        "max_num_load_retries": 0,  # a local artifact that fails to load will fail again
        "tensorflow_intra_op_parallelism": request.threads,
        "tensorflow_inter_op_parallelism": -1,  # requests run in threads of their own; with 1, one by one
    }
    if any(request.payload.glob(f"*/{MODEL_FILE}")):
        chosen["prefer_tflite_model"] = "true"
    return tuple(f"--{name}={value}" for name, value in chosen.items())


def _embedded(request: LaunchRequest) -> tuple[tuple[str, ...], str]:
    try:
        version = importlib.metadata.version("tensorflow")
    except importlib.metadata.PackageNotFoundError as error:
        raise LaunchError(f"TensorFlow is not installed. Run: {install_command('tf-serving')}") from error
    command = (sys.executable, "-P", "-m", "serving.tf_serving", f"--bind_address={request.host}")
    return command, f"slipway's TF Serving API server (TensorFlow {version})"


def _native() -> tuple[tuple[str, ...], str]:
    path = shutil.which(NATIVE)
    if path is None:
        raise LaunchError(f"{NATIVE} is not on PATH. Install it, or use the flavour {FLAVOURS[0]!r}.")
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LaunchError(f"{path} --version does not work: {error}") from error
    first = next(iter(answer.stdout.splitlines()), "")  # "TensorFlow ModelServer: 2.20.0-rc0+..."
    version = first.removeprefix("TensorFlow ModelServer: ") or "version unknown"
    # It has no flag for the address to listen on; the report and the user should know.
    return (path,), f"{NATIVE} ({version}; it listens on every address)"


def is_available(request: LaunchRequest) -> bool:
    """Return True if at least one version can predict.

    Raises:
        LaunchError: the model failed to load, with the server's reason; waiting longer would not help.
        ProtocolError: the answer is not one of this API.
        OSError: nothing answers.
    """
    connection = http.client.HTTPConnection(request.host, request.rest_port, timeout=_PROBE_S)
    try:
        connection.request("GET", f"/v1/models/{quote(request.model, safe='')}")
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:
        raise ProtocolError(f"not an HTTP server: {error}") from error
    finally:
        connection.close()
    if response.status == http.HTTPStatus.NOT_FOUND:
        return False  # the server has not read the base path yet
    try:
        versions = json.loads(body)["model_version_status"]
        states = {version["state"]: version["status"] for version in versions}
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"not a model status. Received: {body[:200]!r}") from error
    if set(states) == {"END"}:
        failure = states["END"]
        raise LaunchError(
            f"the server could not load {request.model}: {failure['error_code']}: {failure['error_message']}"
        )
    return "AVAILABLE" in states


def _accepts(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=_PROBE_S):
        return True

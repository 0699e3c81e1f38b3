"""One artifact behind its server: started, queried, load-tested over every protocol, stopped."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from models.spec import ModelSpec
from pipelines.artifact import Artifact
from pipelines.errors import SlipwayError, UserError, unknown
from pipelines.files import scratch
from pipelines.loadtest.measure import measure
from pipelines.loadtest.repeat import until_valid
from pipelines.loadtest.settings import LoadSettings
from pipelines.paths import Card
from pipelines.results import Row, Scenario
from pipelines.stages import ANSWERS, Answers
from serving.clients import ProtocolError, Target, client
from serving.clients.transport import Unreachable, send
from serving.launch import (
    LOOPBACK,
    LaunchError,
    LaunchRequest,
    Recipe,
    Running,
    Usage,
    check_port,
    free_ports,
    log_tail,
    serve,
)


class Asked(Protocol):
    """What measuring needs of a server: :class:`serving.launch.Running`, or one whose process is elsewhere."""

    @property
    def recipe(self) -> Recipe: ...
    @property
    def log(self) -> Path: ...
    @property
    def running(self) -> bool: ...
    def usage(self) -> Usage: ...
    def proxy_cpu_s(self) -> float | None: ...
    def first_answer(self) -> float | None: ...
    def exit_text(self) -> str: ...


def server_module(card: Card, flavour: str | None) -> str:
    """The module of a path's server. Raises UserError when it has none, or not of this flavour."""
    if card.server is None:
        raise UserError(f"{card.name} has no server: {card.no_server}. Use: slipway loadtest MODEL {card.name}")
    flavours = importlib.import_module(card.server).FLAVOURS
    if flavour is not None and flavour not in flavours:
        raise unknown(f"server of {card.name}", flavour, flavours)
    return card.server


def flavour_for(card: Card, wanted: str | None) -> str | None:
    """``wanted`` if the path's server comes in that flavour, else None: its default."""
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
    """The artifact's server, ready to predict, on the given or on free ports.

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
    """What a server is started for, on the given or on free ports. Raises UserError or PortInUse."""
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


def target_of(server: Asked, protocol: str, spec: ModelSpec) -> Target:
    """The model behind a started server, for a client of ``protocol``."""
    outputs = {tensor.name: tensor.dtype for tensor in spec.outputs}
    return Target(server.recipe.endpoints[protocol], spec.name, outputs, server.recipe.token())


def ask(protocol: str, target: Target, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One request and its decoded answer. Raises Unreachable or ProtocolError."""
    speaker = client(protocol)
    body = speaker.encode(target, inputs)
    return speaker.decode(target, send(speaker.call(target, body), body))


def check_outputs(outputs: dict[str, np.ndarray], spec: ModelSpec, rows: int) -> None:
    """Raises ProtocolError for an answer that no model of this spec gives: other shapes, or what is no number."""
    for tensor in spec.outputs:
        shape = (rows, *tensor.shape[1:])
        got = outputs.get(tensor.name)
        if got is None or got.shape != shape:
            received = sorted(outputs) if got is None else got.shape
            raise ProtocolError(f"expected output {tensor.name!r} of shape {shape}. Received: {received}")
        if not np.isfinite(got).all():
            raise ProtocolError(f"expected finite numbers in output {tensor.name!r}. Received: NaN or infinity")


def describe_answer(outputs: dict[str, np.ndarray], labels: tuple[str, ...]) -> str:
    """The first row's label and its probability, for people."""
    probabilities = softmax(next(iter(outputs.values())))[0]
    best = int(probabilities.argmax())
    return f"{labels[best]} ({probabilities[best]:.1%})"


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of the last axis, float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def measure_served(
    card: Card,
    artifact: Artifact,
    spec: ModelSpec,
    settings: list[LoadSettings],
    logs: Path,
    *,
    threads: int,
    flavour: str | None = None,
) -> list[Row]:
    """A row for every protocol. A server that dies costs the row at hand; it is started again for the rest."""
    rows: list[Row] = []
    left = list(card.protocols)
    while left:
        try:
            with scratch("serve") as workdir:
                log = logs / f"serve-{artifact.name.replace(':', '-')}.log"
                with (
                    kept(workdir / "server.log", log),
                    started(card, artifact, workdir, threads=threads, flavour=flavour) as server,
                ):
                    while left and server.running:
                        rows.append(measure_protocol(card, artifact, spec, left[0], server, settings, workdir))
                        del left[0]
        except (LaunchError, SlipwayError, OSError) as error:
            # What stands in the way of one row stands in the way of the path's others, and of no other path's.
            rows += [Row(card.name, artifact.manifest.variant, protocol, "failed", str(error)) for protocol in left]
            left = []
    return rows


@contextmanager
def kept(source: Path, kept: Path) -> Iterator[None]:
    """After the block, append the file ``source`` to ``kept``, if it is there."""
    try:
        yield
    finally:
        if source.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with kept.open("ab") as file:
                file.write(source.read_bytes())


def measure_protocol(
    card: Card,
    artifact: Artifact,
    spec: ModelSpec,
    protocol: str,
    server: Asked,
    settings: list[LoadSettings],
    workdir: Path,
) -> Row:
    """One protocol of a server that is ready: its first answer, then every scenario."""
    row = Row(card.name, artifact.manifest.variant, protocol, "ok", None, server=server.recipe.server)
    answers = Answers(artifact.folder / ANSWERS)
    target = target_of(server, protocol, spec)
    try:
        first = ask(protocol, target, answers.inputs(1)[0])
    except (Unreachable, ProtocolError) as error:
        return replace(row, status="failed", reason=_dead(server) or f"the first request failed: {error}")
    row = replace(row, cold_start_s=server.first_answer(), answer=describe_answer(first, spec.labels))
    if not answers.matches(1, 0, first):
        return replace(row, status="failed", reason="the first answer differs from the in-process one")
    for chosen in settings:
        result = _offer(chosen, protocol, target, answers, server, workdir)
        peak = server.usage().peak_rss_bytes
        row = replace(row, scenarios=(*row.scenarios, result), peak_memory_bytes=peak or row.peak_memory_bytes)
        dead = _dead(server)
        if dead:
            return replace(row, status="failed", reason=dead)
    return judged(row)


def _offer(
    chosen: LoadSettings, protocol: str, target: Target, answers: Answers, server: Asked, workdir: Path
) -> Scenario:
    """One scenario, with the server's CPU time per request."""
    speaker = client(protocol)
    bodies = [speaker.encode(target, inputs) for inputs in answers.inputs(chosen.batch)]

    def check(index: int, body: bytes) -> bool:
        try:
            return answers.matches(chosen.batch, index, speaker.decode(target, body))
        except ProtocolError:
            return False  # bytes that are no answer of the protocol are a wrong answer

    def once(attempt: int) -> Scenario:
        folder = workdir / f"load-{protocol}-{chosen.scenario}-{attempt}"
        folder.mkdir()
        before, proxy_before = server.usage().cpu_s, server.proxy_cpu_s()
        result = measure(speaker.call(target, bodies[0]), bodies, check, chosen, folder)
        used = server.usage().cpu_s - before
        proxy_after = server.proxy_cpu_s()
        proxy = proxy_after - proxy_before if proxy_after is not None and proxy_before is not None else 0.0
        served = result.requests + result.warmup_requests
        return replace(
            result,
            server_cpu_ms_per_request=_ms_each(used, served),
            proxy_cpu_ms_per_request=_ms_each(proxy, served),
        )

    return until_valid(once)


def _ms_each(cpu_s: float, requests: int) -> float | None:
    """CPU milliseconds a request; None where nothing was measured."""
    return 1e3 * cpu_s / requests if requests and cpu_s > 0 else None


def _dead(server: Asked) -> str | None:
    if server.running:
        return None
    tail = log_tail(server.log)
    return f"{server.recipe.server} ended during the load test ({server.exit_text()}); last lines of its log:\n{tail}"


def judged(row: Row) -> Row:
    """The row, failed with its reasons if a load test is invalid or an answer was wrong."""
    reasons = [f"{scenario.name}: {scenario.invalid_because}" for scenario in row.scenarios if not scenario.valid]
    reasons += [
        f"{scenario.name}: {1 - scenario.match_share:.2%} of {scenario.answers_checked} checked answers differ "
        "from the in-process ones"
        for scenario in row.scenarios
        if scenario.match_share is not None and scenario.match_share < 1
    ]
    return replace(row, status="failed", reason="; ".join(reasons)) if reasons else row

"""Asks every server over every protocol at once, and compares the answers with the reference's."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from models.spec import ModelSpec
from models.task import Vectors, cosine
from pipelines.artifacts.parity import Compared, Probe, compare, sqnr_db
from pipelines.base.errors import SlipwayError
from pipelines.measure.server import check_outputs
from pipelines.results import Certificate
from pipelines.run.predictions import described
from pipelines.web.fleet.servers import KnownServer
from pipelines.web.inputs import Given
from serving.clients import ProtocolError, client, scheme_of
from serving.clients.transport import Unreachable, send

TOP = 5
ANSWER_S = 10.0

Outputs = dict[str, np.ndarray]
Verdict = Literal["within", "outside", "differs"]
"""Within the certificate's tolerance, outside of it, or another answer: another class, or too small a cosine."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One call: ``latency_ms`` is that of the server with a new connection, ``page_ms`` what this page adds to it."""

    server: str
    protocol: str
    url: str
    status: Literal["ok", "failed"] = "ok"
    reason: str | None = None
    latency_ms: float | None = None
    page_ms: float | None = None
    sent_bytes: int | None = None
    received_bytes: int | None = None


def import_clients(servers: Iterable[KnownServer]) -> None:
    """Import what calls need, so that the first one takes no longer than the next."""
    protocols = {protocol for server in servers for protocol in server.deployed.urls}
    for protocol in protocols:
        client(protocol)
    if any(scheme_of(protocol) == "grpc" for protocol in protocols):
        importlib.import_module("grpc")


def ask_one(server: KnownServer, protocol: str, spec: ModelSpec, given: Given) -> tuple[Asking, Outputs | None]:
    """Ask a server over one protocol; return what it took, and the outputs if there are any."""
    url = server.deployed.urls[protocol]
    begun = time.perf_counter()
    try:
        speaker, target = client(protocol), server.target(protocol, spec)
        body = speaker.encode(target, given.arrays)
        call = speaker.call(target, body)
        sent = time.perf_counter()
        answer = send(call, body, ANSWER_S)
        latency_s = time.perf_counter() - sent
        outputs = speaker.decode(target, answer)
        check_outputs(outputs, spec, len(next(iter(given.arrays.values()))))
    except (Unreachable, ProtocolError, SlipwayError, ValueError) as error:
        return Asking(server.name, protocol, url, "failed", str(error)), None
    page_s = time.perf_counter() - begun - latency_s
    figures = Asking(
        server.name,
        protocol,
        url,
        latency_ms=1e3 * latency_s,
        page_ms=1e3 * page_s,
        sent_bytes=len(body),
        received_bytes=len(answer),
    )
    return figures, outputs


async def ask_all(
    servers: Iterable[KnownServer], spec: ModelSpec, given: Given, known: Awaitable[Outputs]
) -> AsyncIterator[dict[str, Any]]:
    """Yield what was given, then each answer as soon as it is there, and the reference's; the last is ``done``.

    ``known`` brings the reference's outputs. Raises nothing: what fails is an answer that says why.
    """
    calls = [(server, protocol) for server in servers for protocol in server.deployed.urls]
    yield {
        "kind": "input",
        "title": given.title,
        "truth": given.truth,
        "warnings": given.warnings,
        "seen": given.seen,
        "calls": [{"server": server.name, "protocol": protocol} for server, protocol in calls],
    }
    reference: asyncio.Future[Outputs] = asyncio.ensure_future(known)
    tasks = [asyncio.ensure_future(_judged(server, protocol, spec, given, reference)) for server, protocol in calls]
    try:
        for next_one in asyncio.as_completed([_reference(reference, spec), *tasks]):
            yield await next_one
        yield {"kind": "done"}
    finally:
        for task in tasks:
            task.cancel()


async def _reference(known: asyncio.Future[Outputs], spec: ModelSpec) -> dict[str, Any]:
    try:
        return {"kind": "reference", "status": "ok", **said(await known, spec)}
    except SlipwayError as error:
        return {"kind": "reference", "status": "failed", "reason": str(error)}


async def _judged(
    server: KnownServer, protocol: str, spec: ModelSpec, given: Given, known: asyncio.Future[Outputs]
) -> dict[str, Any]:
    figures, outputs = await asyncio.to_thread(ask_one, server, protocol, spec, given)
    answer = {"kind": "answer", **asdict(figures)}
    if outputs is None:
        return answer
    answer |= said(outputs, spec)
    try:
        expected = await asyncio.shield(known)
    except SlipwayError:
        return answer  # the line of the reference says why there is none
    return answer | judge(server.certificate, spec, given, outputs, expected)


def judge(
    certificate: Certificate, spec: ModelSpec, given: Given, outputs: Outputs, expected: Outputs
) -> dict[str, Any]:
    """Return the differences of an answer from the reference's, and what the certificate says of them."""
    rows = len(next(iter(given.arrays.values())))
    compared, _ = compare(Probe("evaluation", rows, 0, given.arrays, expected), outputs, spec.task)
    return {
        "max_abs": float(compared.difference.max()),
        "sqnr_db": sqnr_db([compared]),
        "verdict": verdict(certificate, compared),
    }


def verdict(certificate: Certificate, compared: Compared) -> Verdict:
    """Judge one answer by its artifact's tolerance, which belongs to all of the test data: a single row may be outside.

    The least agreement is not looked at: it is a share of many rows.
    """
    if compared.agree is not None and not compared.agree.all():
        return "differs"
    if certificate.min_cosine is not None and not compared.cosine >= certificate.min_cosine:
        return "differs"
    if certificate.atol is not None and not compared.difference.max() <= certificate.atol:
        return "outside"
    ratio = sqnr_db([compared])
    if certificate.min_sqnr_db is not None and ratio is not None and not ratio >= certificate.min_sqnr_db:
        return "outside"
    return "within"


def said(outputs: Outputs, spec: ModelSpec) -> dict[str, Any]:
    """Describe the outputs for a person: the likeliest classes, or what the numbers are; of two vectors the cosine."""
    rows = outputs[spec.outputs[0].name]
    if isinstance(spec.task, Vectors) and len(rows) > 1:
        return {"labels": [], "answer": f"cosine of the first two: {cosine(rows[0], rows[1]):.4f}"}
    found = described(rows[0], spec, TOP)
    return {"labels": found["labels"], "answer": found.get("answer")}

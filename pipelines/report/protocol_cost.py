"""Compute the cost that each layer between client and model adds to a request: protocol, container, port proxy. Pure.

The figures are those of ``single-stream``: one request at a time, so that no latency includes a queue. The base is the
same artifact in process, called as its server calls it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from pipelines.results import IN_PROCESS, SERVED, ContainerRow, LayerCost, Row, Scenario, Via

SCENARIO = "single-stream"
BARE: Final = "bare process"
WAYS: tuple[Via, ...] = ("container address", "published port")
"""The ways to a container, lower layer first: a published port is a proxy in front of the address."""

Reasons = Mapping[str, Mapping[str, str]]


def protocol_cost(
    rows: Sequence[Row], containers: Sequence[ContainerRow] = (), not_spoken: Reasons | None = None
) -> tuple[LayerCost, ...]:
    """List the layers of every served artifact, lowest first; empty if ``single-stream`` was not run.

    ``not_spoken`` maps paths to the protocols that their servers lack, with the reason.
    """
    everything = [*rows, *(one.row for one in containers)]
    if not any(scenario.name == SCENARIO for row in everything for scenario in row.scenarios):
        return ()
    served = [row for row in everything if row.where == SERVED]
    found: list[LayerCost] = []
    for path, variant in dict.fromkeys((row.path, row.variant) for row in served):
        mine = [row for row in rows if (row.path, row.variant) == (path, variant)]
        inside = [one for one in containers if (one.row.path, one.row.variant) == (path, variant)]
        base = _base(mine, path, variant)
        found.append(base)
        protocols = dict.fromkeys(row.way for row in (*mine, *(one.row for one in inside)))
        for protocol in protocols:
            if protocol != IN_PROCESS:
                found += _of_protocol(protocol, base, mine, inside)
        for protocol, why in (not_spoken or {}).get(path, {}).items():
            found.append(LayerCost(path, variant, protocol, BARE, IN_PROCESS, why_missing=why))
    return tuple(found)


def _base(mine: Iterable[Row], path: str, variant: str) -> LayerCost:
    empty = LayerCost(path, variant, IN_PROCESS, "in-process")
    row = next((row for row in mine if row.where == IN_PROCESS), None)
    return _filled(empty, row) if row else replace(empty, why_missing="not measured in process")


def _of_protocol(
    protocol: str, base: LayerCost, mine: Sequence[Row], inside: Sequence[ContainerRow]
) -> list[LayerCost]:
    """List the layers of one protocol, each compared with the previous one."""
    layers: list[LayerCost] = []
    below = base
    ways: list[tuple[Literal["bare process"] | Via, Row]] = [(BARE, row) for row in mine if row.way == protocol]
    ways += [(via, one.row) for via in WAYS for one in inside if (one.via, one.row.way) == (via, protocol)]
    for via, row in ways:
        name = IN_PROCESS if below is base else f"{below.protocol}, {below.via}"
        layer = _filled(LayerCost(base.path, base.variant, protocol, via, name), row)
        layer = replace(
            layer,
            over_in_process_ms=_less(layer.p50_ms, base.p50_ms),
            over_in_process_cpu_ms=_less(cpu_ms(layer), cpu_ms(base)),
            added_ms=_less(layer.p50_ms, below.p50_ms),
            added_cpu_ms=_less(cpu_ms(layer), cpu_ms(below)),
        )
        layers.append(layer)
        if layer.why_missing is None:
            below = layer  # a layer without figures cannot be compared with
    return layers


def _filled(layer: LayerCost, row: Row) -> LayerCost:
    """Fill in the figures of the layer's row, or the reason why they cannot be used."""
    scenario = next((one for one in row.scenarios if one.name == SCENARIO), None)
    why = _unusable(row, scenario)
    if scenario is None or why:
        return replace(layer, why_missing=why)
    load, server = scenario.load, scenario.server
    answers = load.requests - load.errors
    is_known = load.received_bytes is not None and answers > 0
    return replace(
        layer,
        p50_ms=scenario.latency.p50_ms,
        server_cpu_ms=server.cpu_ms_per_request,
        proxy_cpu_ms=server.proxy_cpu_ms_per_request,
        client_cpu_us=scenario.generator.cpu_us_per_request,
        request_bytes=load.request_bytes,
        response_bytes=(load.received_bytes or 0) / answers if is_known else None,
    )


def _unusable(row: Row, scenario: Scenario | None) -> str | None:
    if scenario is None:
        return row.reason if row.status != "ok" and row.reason else f"{SCENARIO} was not run"
    if not scenario.valid:
        return f"the load test is not valid: {scenario.invalid_because}"
    if scenario.match_share is not None and scenario.match_share < 1:
        return "answers differ from the in-process ones"
    return None


def cpu_ms(layer: LayerCost) -> float | None:
    """Return the CPU milliseconds a request costs on the server's side: its processes and the proxy."""
    return None if layer.server_cpu_ms is None else layer.server_cpu_ms + (layer.proxy_cpu_ms or 0.0)


def _less(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None else value - base

"""The costs of each layer: the differences, their bases, and how the faces show them."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from report_samples import contained, everything_failed, full, nulls, row, scenario
from rich.console import Console

from pipelines.paths import PATHS, path_module
from pipelines.report import html_face
from pipelines.report.cost_lines import TITLE, cost_columns, cost_lines, cost_notes
from pipelines.report.protocol_cost import protocol_cost
from pipelines.report.terminal import show
from pipelines.results import IN_PROCESS, ContainerRow, LayerCost, Row, Scenario

REST, BINARY, GRPC = "open-inference-rest", "open-inference-rest-binary", "open-inference-grpc"


def load(p50_ms: float, cpu_ms: float | None, **changes: Any) -> Scenario:
    return scenario("single-stream", **{"latency.p50_ms": p50_ms, "server.cpu_ms_per_request": cpu_ms, **changes})


def of(protocol: str, p50_ms: float, cpu_ms: float | None, **changes: Any) -> Row:
    return row("onnxruntime", "fp32", protocol, scenarios=(load(p50_ms, cpu_ms, **changes),))


CALL = of(IN_PROCESS, 0.03, 0.04)
SIZES = {"load.requests": 100, "load.errors": 0, "load.received_bytes": 35_500, "load.request_bytes": 4135.0}
JSON = of(REST, 0.45, 0.44, **SIZES)
ADDRESS = ContainerRow("container address", of(REST, 0.5, 0.43))
PORT = ContainerRow("published port", of(REST, 0.62, 0.45, **{"server.proxy_cpu_ms_per_request": 0.09}))


def costs(*rows: Row, containers: tuple[ContainerRow, ...] = ()) -> dict[str, LayerCost]:
    return {f"{one.protocol}, {one.via}": one for one in protocol_cost(rows, containers)}


def test_each_layer_against_the_call_and_against_the_one_below() -> None:
    found = costs(CALL, JSON, of(GRPC, 0.02, 0.03), containers=(PORT, ADDRESS))
    assert list(found) == [
        "in-process, in-process",
        f"{REST}, bare process",
        f"{REST}, container address",
        f"{REST}, published port",
        f"{GRPC}, bare process",
    ]
    call, bare, address, port, grpc = found.values()
    assert (call.p50_ms, call.server_cpu_ms, call.below, call.added_ms, call.over_in_process_ms) == (
        *(0.03, 0.04),
        *(None, None, None),
    )
    assert (bare.below, address.below, port.below) == (
        IN_PROCESS,
        f"{REST}, bare process",
        f"{REST}, container address",
    )
    added = [(one.added_ms, one.added_cpu_ms) for one in (bare, address, port, grpc)]
    # The last is the proxy: 0.09 of its own, 0.02 more of the server. A saving is negative, and said so.
    for got, want in zip(added, [(0.42, 0.4), (0.05, -0.01), (0.12, 0.11), (-0.01, -0.01)], strict=True):
        assert got == pytest.approx(want)
    assert (port.over_in_process_ms, port.over_in_process_cpu_ms) == pytest.approx((0.59, 0.5))
    assert (bare.request_bytes, bare.response_bytes) == (4135, 355)


def test_what_has_no_figures_is_nothing_to_compare_with() -> None:
    lost = ContainerRow("container address", Row.at("onnxruntime", "fp32", REST, "skipped", "out of reach"))
    found = costs(CALL, JSON, containers=(PORT, lost))
    assert found[f"{REST}, container address"].why_missing == "out of reach"
    assert found[f"{REST}, published port"].below == f"{REST}, bare process"
    assert found[f"{REST}, published port"].added_ms == pytest.approx(0.17)
    alone = costs(JSON)
    assert alone["in-process, in-process"].why_missing == "not measured in process"
    assert alone[f"{REST}, bare process"].over_in_process_ms is None
    assert alone[f"{REST}, bare process"].p50_ms == 0.45


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (of(REST, 0.45, 0.4, valid=False, invalid_because="too late"), "the load test is not valid: too late"),
        (of(REST, 0.45, 0.4, match_share=0.9), "answers differ from the in-process ones"),
        (Row.at("onnxruntime", "fp32", REST, "failed", "it died"), "it died"),
        (replace(JSON, scenarios=(scenario("server"),)), "single-stream was not run"),
    ],
)
def test_figures_that_cannot_be_used_are_not_used(bad: Row, why: str) -> None:
    found = costs(CALL, bad, of(GRPC, 0.3, 0.2))
    one = found[f"{REST}, bare process"]
    assert (one.why_missing, one.p50_ms, one.added_ms) == (why, None, None)
    assert found[f"{GRPC}, bare process"].added_ms == pytest.approx(0.27)


def test_figures_that_nobody_could_measure_are_missing() -> None:
    found = costs(CALL, of(REST, 0.45, None))[f"{REST}, bare process"]
    assert (found.added_ms, found.added_cpu_ms, found.over_in_process_cpu_ms) == (pytest.approx(0.42), None, None)


def test_there_is_none_without_single_stream_or_without_a_server() -> None:
    assert protocol_cost([replace(JSON, scenarios=(scenario("server"),))]) == ()
    assert protocol_cost([CALL]) == ()
    assert protocol_cost([], ()) == ()


def test_a_protocol_that_is_not_spoken_says_why() -> None:
    found = protocol_cost([CALL, JSON], (), {"onnxruntime": {"morse": "too slow"}, "other": {"morse": "too slow"}})
    assert [(one.protocol, one.why_missing) for one in found if one.why_missing] == [("morse", "too slow")]


def test_every_server_speaks_json_bytes_and_grpc_or_says_why_not() -> None:
    cards = [path_module(name).CARD for name in PATHS]
    assert any(card.not_spoken for card in cards)
    for card in cards:
        assert not set(card.protocols) & set(card.not_spoken)
        kinds = {name.partition("-rest")[1:] for name in (*card.protocols, *card.not_spoken)}
        assert kinds == ({("-rest", ""), ("-rest", "-binary"), ("", "")} if card.server else set())


@pytest.mark.parametrize("make", [full, contained])
def test_every_face_shows_every_layer(make: Any) -> None:
    report = make()
    found = cost_lines(report)
    assert len(found) == len(report.protocol_cost) > 10
    file = io.StringIO()
    show(report, Console(file=file, width=240))
    text = file.getvalue().partition(TITLE)[2]
    page = html_face.render(report).partition('<section id="cost">')[2].partition("</section>")[0]
    assert page.count("<tr data-where=") == len(found)
    for line in found:
        assert line.name in text
    for _, why in cost_notes(found):
        assert why.split()[0] in text
    assert ("over below" in text) == ("over below" in page) == (make is contained)
    assert "<script>alert" not in page


def test_after_a_run_the_table_is_only_referred_to() -> None:
    file = io.StringIO()
    show(contained(), Console(file=file, width=240), brief=True)
    text = file.getvalue()
    assert f"{TITLE}: see report.html or run `slipway report efficientnet_lite0`." in text
    assert "over call" not in text
    file = io.StringIO()
    show(nulls(), Console(file=file, width=240), brief=True)
    assert TITLE not in file.getvalue()


@pytest.mark.parametrize("make", [everything_failed, nulls])
def test_a_report_without_layers_has_no_table(make: Any) -> None:
    file = io.StringIO()
    show(make(), Console(file=file, width=80))
    assert TITLE not in file.getvalue()
    assert "#cost" not in html_face.render(make())


def test_a_difference_has_its_sign() -> None:
    layers = protocol_cost([CALL, JSON, of(GRPC, 0.02, 0.03)])
    lines = cost_lines(replace(full(), protocol_cost=layers))
    (column,) = [one for one in cost_columns(lines) if (one.group, one.title) == ("over call", "Latency")]
    shown = [column.text(value) for line in lines if (value := column.value(line)) is not None]
    assert shown == ["+0.420", "-0.0100"]

"""Load from the page: live figures while it runs, its end, its stop, what a reload sees, and the report."""

from __future__ import annotations

import json
from typing import Any

import pytest
from web_client import Visitor

from pipelines.base.errors import UserError
from pipelines.report import json_face
from pipelines.run.addresses import parse
from pipelines.web.loads import command_of, read_order

NAME = "onnxruntime:pytorch"
REST, GRPC = [NAME, "open-inference-rest"], [NAME, "open-inference-grpc"]


def order(*calls: list[str], seconds: float = 1, rate: float = 50, scenario: str = "server") -> bytes:
    return json.dumps({"calls": calls, "scenario": scenario, "rate": rate, "seconds": seconds}).encode()


def until_ended(visitor: Visitor) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The state of the test after its end, and the live figures that came since the call."""
    points = []
    for name, data in visitor.events():
        if name == "point":
            points.append(data)
        if name == "load" and data["state"] in ("done", "failed"):
            return data, points
    raise AssertionError("the events ended")


def test_a_test_shows_live_figures_and_leaves_an_ordinary_report(visitor: Visitor, cli: Any) -> None:
    newest = (cli.workspace / "reports" / "mnist_cnn" / "latest").resolve()  # of a run before, if there was one
    assert visitor.post("/load", order(REST, GRPC))[0] == 200
    assert visitor.post("/load", order(REST))[0] == 400  # one at a time
    state, points = until_ended(visitor)
    assert state["state"] == "done", state["reason"]
    assert {(point["server"], point["protocol"]) for point in points} == {tuple(REST), tuple(GRPC)}
    assert points == state["points"][-len(points) :]  # a page that comes later sees the same
    assert max(point["rate_per_s"] for point in points) > 10
    assert all(point["errors"] == 0 for point in points)
    status, headers, page = visitor.get(state["report"])
    assert status == 200
    assert "script-src 'sha256-" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"].partition("script-src")[2]
    assert NAME.encode() in page
    report = json_face.read(cli.workspace / state["report"].lstrip("/").replace(".html", ".json"))
    rows = {row.protocol: row for row in report.rows}
    assert rows["open-inference-rest"].status == rows["open-inference-grpc"].status == "ok"
    assert rows["open-inference-rest-binary"].status == "skipped"
    assert report.settings.command.startswith(f"slipway loadtest mnist_cnn --at {NAME}=http://127.0.0.1:")
    assert (cli.workspace / "reports" / "mnist_cnn" / "latest").resolve() == newest


def test_a_test_can_be_stopped_and_a_reload_in_its_middle_sees_all_of_it(visitor: Visitor) -> None:
    assert visitor.post("/load", order(REST, seconds=60))[0] == 200
    for name, _ in visitor.events():
        if name == "point":
            break
    again = visitor.events()  # a reload
    state = next(data for name, data in again if name == "load")
    assert state["state"] == "running"
    assert state["order"]["calls"] == [REST]
    assert state["points"]
    assert visitor.post("/load/stop", b"")[0] == 200
    state, _ = until_ended(visitor)
    assert state["state"] == "done", state["reason"]
    assert visitor.get(state["report"])[0] == 200
    assert b"interrupted" in visitor.get(state["report"])[2]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        [],
        {"calls": [], "scenario": "server", "rate": 1, "seconds": 1},
        {"calls": [[NAME]], "scenario": "server", "rate": 1, "seconds": 1},
        {"calls": [REST], "scenario": "other", "rate": 1, "seconds": 1},
        {"calls": [REST], "scenario": "server", "rate": 0, "seconds": 1},
        {"calls": [REST], "scenario": "server", "rate": 1e9, "seconds": 1},
        {"calls": [REST], "scenario": "server", "rate": 1, "seconds": 3600},
        {"calls": [REST], "scenario": "server", "rate": True, "seconds": 1},
        {"calls": [REST], "scenario": "server", "rate": "1", "seconds": 1},
    ],
)
def test_an_order_that_is_none_is_refused(asked: Any) -> None:
    with pytest.raises(UserError):
        read_order(asked)


@pytest.mark.parametrize("call", [["other", "open-inference-rest"], [NAME, "tf-serving-rest"]])
def test_a_server_that_is_not_there_is_refused(visitor: Visitor, call: list[str]) -> None:
    status, _, body = visitor.post("/load", order(call))
    assert status == 400
    assert "unknown" in json.loads(body)["error"]


def test_the_report_names_the_command_that_does_it_again() -> None:
    servers = parse(["torchserve=http://h:1,grpc://h:2,token=/a b"])
    chosen = read_order({"calls": [["x", "y"]], "scenario": "server", "rate": 50.5, "seconds": 2})
    assert command_of("mnist_cnn", chosen, servers) == (
        "slipway loadtest mnist_cnn --at 'torchserve:export=http://h:1,grpc://h:2,token=/a b' "
        "--scenario server --rate 50.5 --duration 2"
    )

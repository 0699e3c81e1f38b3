"""The costs of a container: each way beside the bare process, in every face."""

from __future__ import annotations

import io

import pytest
from report_samples import contained, full
from rich.console import Console

from pipelines.report import html_face
from pipelines.report.container_lines import CONTAINER_COLUMNS, container_lines
from pipelines.report.lines import troubles
from pipelines.report.terminal import show


def figures(name: str) -> dict[str, float | None]:
    line = next(line for line in container_lines(contained()) if line.name == name)
    return {f"{column.group} {column.title}": column.value(line) for column in CONTAINER_COLUMNS}


def test_the_bare_process_comes_first_then_each_way() -> None:
    assert [line.row.way for line in container_lines(contained())] == [
        "open-inference-rest, bare process",
        "open-inference-rest, published port",
        "open-inference-rest, container address",
        "open-inference-grpc, bare process",
        "open-inference-grpc, published port",
        "open-inference-grpc, container address",
        "open-inference-rest, published port",  # of an artifact that no row measured as a bare process
        "tf-serving-rest, published port",
        "tf-serving-rest, container address",
    ]


def test_the_cost_is_that_of_the_same_protocol() -> None:
    bare = figures("onnxruntime fp32 open-inference-rest, bare process")
    port = figures("onnxruntime fp32 open-inference-rest, published port")
    past = figures("onnxruntime fp32 open-inference-rest, container address")
    assert bare["container Image"] is None
    assert bare["single-stream Times bare"] is None
    assert port["container Image"] == 644_000_000
    assert (port["container Ready"], port["process Cold start"]) == (2.9, 3.1)
    assert port["single-stream Times bare"] == pytest.approx(12 / 8)
    assert past["single-stream Times bare"] == pytest.approx(8.4 / 8)
    assert (port["server p99"], past["server p99"], bare["server p99"]) == (12.0, 8.4, 8.0)
    assert (port["server Proxy CPU"], past["server Proxy CPU"]) == (0.09, None)
    assert figures("onnxruntime int8 open-inference-rest, published port")["single-stream Times bare"] is None


def test_every_reason_is_said() -> None:
    said = {name: one.sentence for one in troubles(contained()) for name in one.names}
    assert said["tf-serving fp32 tf-serving-rest, published port"] == "no Docker engine answers. Install Docker Engine."
    assert "tf-serving fp32 tf-serving-rest, container address" in said
    assert said["onnxruntime int8 open-inference-rest, published port"].startswith("the container died")


def test_a_terminal_and_a_page_show_them_and_only_where_there_are_some() -> None:
    for report, there in ((contained(), True), (full(), False)):
        file = io.StringIO()
        show(report, Console(file=file, width=240))
        assert ("What a container costs" in file.getvalue()) == there
        page = html_face.render(report)
        assert ('<section id="containers">' in page) == there
        assert ('<a href="#containers">' in page) == there
    wide = io.StringIO()
    show(contained(), Console(file=wide, width=240))
    line = next(line for line in wide.getvalue().splitlines() if "open-inference-rest, published port" in line)
    assert line.split("✓ ok")[1].split() == [
        "644",
        "2.90",
        "3.10",
        "310",
        "3.36",
        "1.50",
        "4.80",
        "12.0",
        "2.31",
        "0.0900",
    ]


def test_a_page_leads_from_a_status_to_its_reason() -> None:
    page = html_face.render(contained())
    for place, one in enumerate(troubles(contained())):
        assert page.count(f'href="#why-{place}"') == len(one.names)
        assert f'id="why-{place}"' in page

"""``slipway advise``: the row to ship, among those that a user can use."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from report_samples import everything_failed, full

from pipelines.report.json_face import write
from pipelines.report.recommend import recommend
from pipelines.results import Cause, Report, Row


@pytest.fixture
def asked(fresh_cli: Any) -> Any:
    """Write a report as the newest, and return the function that asks for advice on it."""

    def ask(report: Report, *words: str) -> Any:
        folder = fresh_cli.workspace / "reports" / "mnist_cnn" / "latest"
        folder.mkdir(parents=True, exist_ok=True)
        write(report, folder / "report.json")
        return fresh_cli("advise", "mnist_cnn", *words)

    return ask


def test_without_a_wish_it_is_the_reports_recommendation(asked: Any) -> None:
    report = full()
    expected = recommend(report.artifacts, report.rows)
    done = asked(report)
    assert done.returncode == 0
    assert f"Ship {expected.row} ({expected.certainty})" in done.stdout
    assert " ".join(expected.reason.split()) in " ".join(done.stdout.split())


@pytest.mark.parametrize("way", ["tf-serving-grpc", "torchserve-rest"])
def test_a_protocol_narrows_it(asked: Any, way: str) -> None:
    report = full()
    kept = [row for row in report.rows if row.protocol == way]
    expected = recommend(report.artifacts, kept)
    done = asked(report, "--protocol", way, "--json")
    found = json.loads(done.stdout)
    assert 0 < found["rows"] == len(kept) < len(report.rows)
    assert found["recommendation"]["row"] == expected.row
    assert done.returncode == 0


def test_a_size_narrows_it(asked: Any) -> None:
    report = full()
    big = [replace(one, size_bytes=2_000_000) for one in report.artifacts]
    small = replace(big[0], size_bytes=1_000_000)
    done = asked(replace(report, artifacts=(small, *big[1:])), "--max-size", "1.5", "--json")
    assert f'"row": "{small.path} {small.variant}' in done.stdout


def test_where_the_machine_was_disturbed_it_shows_the_row_that_cpu_time_chose(asked: Any) -> None:
    report = full()

    def disturbed(row: Row) -> Row:
        causes = {"valid": False, "invalid_because": "others computed", "invalid_causes": (Cause.MACHINE,)}
        return replace(row, scenarios=tuple(replace(one, **causes) for one in row.scenarios))

    rows = tuple(disturbed(row) if row.where == "served" else row for row in report.rows)
    found = json.loads(asked(replace(report, rows=rows), "--json").stdout)
    assert "by CPU time, not by latency" in found["recommendation"]["reason"]
    assert found["near"] == [found["recommendation"]["row"]]
    assert found["decided_by"] == "server server.cpu_ms_per_request"


def test_nothing_that_works_is_exit_code_1(asked: Any) -> None:
    done = asked(everything_failed())
    assert done.returncode == 1
    assert "Nothing to ship" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--protocol", "tf-serving-grcp"), "unknown protocol of the report: 'tf-serving-grcp'. Did you mean"),
        (("--path", "lite-rt"), "unknown path of the report: 'lite-rt'. Did you mean litert"),
        (("--max-size", "0.000001"), "no row of the report of mnist_cnn is all of that"),
        (("--run", "none"), "unknown run of mnist_cnn"),
    ],
)
def test_a_wish_that_cannot_be_is_one_line(asked: Any, words: tuple[str, ...], said: str) -> None:
    done = asked(full(), *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1

"""A runtime that computes on more threads than it was given is named: by figures, and by real ones."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from pipelines.fairness.compute import OVERLAP, breaches, visible
from pipelines.fairness.rounds import changed
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics.summary import nothing_measured
from pipelines.results import IN_PROCESS, Row, Scenario, ServerFigures
from pipelines.stages.answers import ANSWERS
from pipelines.stages.worker import run_stage

EMPTY = nothing_measured(LoadSettings("single-stream"), "-")


def row(protocol: str, name: str, cores: float | None, at_once: int = 1, **changes: Any) -> Row:
    """A row with one load test; ``changes`` are the server's figures."""
    load = replace(
        EMPTY,
        name=name,
        load=replace(EMPTY.load, concurrency=at_once, closed_loop=name != "server"),
        server=replace(ServerFigures(cores=cores, cpus=(0, 1, 2, 3), foreign_cpu_share=0.0), **changes),
    )
    return Row.at("a", "fp32", protocol, "ok", None, scenarios=(load,))


@pytest.mark.parametrize(
    ("protocol", "name", "cores", "at_once", "threads", "broken"),
    [
        ("rest", "single-stream", 1.1, 1, 1, False),
        ("rest", "single-stream", 1.9, 1, 1, True),
        ("rest", "single-stream", 1.9, 1, 2, False),
        ("rest", "single-stream", None, 1, 1, False),
        ("rest", "offline", 3.9, 4, 1, False),
        ("rest", "offline", 4.3, 4, 1, True),
        ("rest", "server", 9.0, 60, 1, False),
        (IN_PROCESS, "offline", 1.9, 4, 1, True),
        (IN_PROCESS, "server", 1.9, 60, 1, True),
        (IN_PROCESS, "offline", 1.0, 4, 1, False),
    ],
)
def test_the_limit_is_requests_times_threads(
    protocol: str, name: str, cores: float | None, at_once: int, threads: int, broken: bool
) -> None:
    assert bool(breaches(row(protocol, name, cores, at_once), threads)) == broken


def test_a_breach_says_what_was_seen_and_what_was_told() -> None:
    (said,) = breaches(row("rest", "single-stream", 1.93), 1)
    assert said == "single-stream: 1.93 cores busy with 1 request at a time, told 1 compute thread (limit 1.15)"


def test_a_java_runtimes_compiler_answers_nothing() -> None:
    assert not breaches(row("rest", "single-stream", 1.5, service_cores=0.6), 1)
    assert breaches(row("rest", "single-stream", 1.9, service_cores=0.6), 1)


def test_the_probe_is_judged_too() -> None:
    (probe,) = row("rest", "offline", 1.4).scenarios
    found = replace(row("rest", "single-stream", 0.9), threads_probe=probe)
    assert breaches(found, 1) == (
        "probe: 1.40 cores busy with 1 request at a time, told 1 compute thread (limit 1.15)",
    )
    assert breaches(replace(found, threads_probe=changed(probe, {"server.cores": 0.97})), 1) == ()


def test_where_no_processor_is_free_nothing_can_be_shown() -> None:
    assert visible(row("rest", "single-stream", 0.9), 1)
    assert not visible(row("rest", "single-stream", 0.9, foreign_cpu_share=0.7), 1)
    (load,) = row("rest", "single-stream", 0.9).scenarios
    stolen = changed(load, {"generator.steal_share": 0.7})
    assert not visible(replace(row("rest", "single-stream", 0.9), scenarios=(stolen,)), 1)
    assert not visible(row("rest", "single-stream", 0.9, foreign_cpu_share=None), 1)
    assert not visible(row("rest", "single-stream", 0.9, cpus=(0,)), 1)
    assert not visible(row("rest", "single-stream", None), 1)
    assert not visible(row("rest", "server", 0.9), 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_real_runtime_with_two_threads_is_found_out(cli: Any, trained: Any, tmp_path: Path, threads: int) -> None:
    """Measure LiteRT in its worker, told to use one compute thread, but given one or two."""
    cli.json("package", "mnist_cnn", "litert:fp32")
    folder = cli.workspace / "artifacts" / "mnist_cnn" / "litert" / "fp32"
    request = {
        "path": "litert",
        "payload": str(folder / "payload"),
        "answers": str(folder / ANSWERS),
        "settings": [asdict(LoadSettings("offline", duration_s=0.8, warmup_s=0.2, batch=16))],
        "threads": threads,
    }
    outcome = run_stage("measure", request, tmp_path / "log", threads=threads)
    scenarios = TypeAdapter(tuple[Scenario, ...]).validate_python(outcome.value["scenarios"])
    found = Row.at("litert", "fp32", IN_PROCESS, "ok", None, scenarios=scenarios)
    assert scenarios[0].server.cores is not None
    if threads == 1:
        assert scenarios[0].server.cores <= 1 + OVERLAP
        assert breaches(found, 1) == ()
        assert scenarios[0].server.busy_threads == 1
    else:
        assert scenarios[0].server.busy_threads == 2
        # Others may hold the second processor: then it is not shown, and the report says that it is not.
        assert breaches(found, 1) or not visible(found, 1)

"""Made-up load tests: what fails a path, and what only disturbs its measurement."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.fairness.disturbed import disturbance, judged, marked, soundest
from pipelines.fairness.rounds import changed
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics.summary import nothing_measured
from pipelines.results import Cause, Row, Scenario

EMPTY = nothing_measured(LoadSettings("server", rate_per_s=100), "-")


def load(**changes: object) -> Scenario:
    """A valid load test of 100 requests, with changes."""
    good = {"valid": True, "invalid_because": None, "invalid_causes": (), "load.requests": 100, "load.errors": 0}
    return changed(EMPTY, good | changes)


def row(*scenarios: Scenario) -> Row:
    return Row.at("litert", "fp32", "in-process", "ok", None, scenarios=scenarios)


def invalid(*causes: Cause, why: str = "why", **changes: object) -> Scenario:
    return load(valid=False, invalid_because=why, invalid_causes=causes, **changes)


@pytest.mark.parametrize(
    ("scenario", "status", "measurement"),
    [
        (load(), "ok", "sound"),
        (load(match_share=1.0, answers_checked=10), "ok", "sound"),
        (invalid(Cause.MACHINE), "ok", "disturbed"),
        (invalid(Cause.SERVER), "ok", "missing"),  # it did not keep up: every answer was right
        (invalid(Cause.MACHINE, Cause.SERVER), "ok", "disturbed"),
        (invalid(Cause.TEST), "ok", "missing"),
        (invalid(Cause.SERVER, **{"load.errors": 2}), "failed", "missing"),
        (invalid(Cause.SERVER, Cause.MACHINE, **{"load.errors": 2}), "failed", "missing"),
        (load(match_share=0.9, answers_checked=10), "failed", "missing"),
        (invalid(Cause.MACHINE, match_share=0.9, answers_checked=10), "failed", "missing"),
    ],
)
def test_status_speaks_of_the_path_and_measurement_of_the_figures(
    scenario: Scenario, status: str, measurement: str
) -> None:
    found = judged(row(load(), scenario))
    assert (found.status, found.measurement) == (status, measurement)
    assert bool(found.measurement_reason) == (status == "ok" and measurement != "sound")


def test_a_row_without_load_tests_has_no_measurement() -> None:
    assert judged(row()).measurement == "missing"
    failed = replace(row(load()), status="failed", reason="it died")
    assert judged(failed) == failed


def test_other_processes_disturb_from_a_tenth_on() -> None:
    quiet, busy = load(**{"server.foreign_cpu_share": 0.1}), load(**{"server.foreign_cpu_share": 0.34})
    assert marked(quiet) is quiet
    assert marked(load()) == load()
    found = marked(busy)
    assert (found.valid, found.invalid_causes) == (False, (Cause.MACHINE,))
    assert found.invalid_because == "other processes took 34% of the processors (limit 10%)"
    twice = marked(invalid(Cause.MACHINE, why="sent late", **{"server.foreign_cpu_share": 0.34}))
    assert twice.invalid_because == f"sent late; {found.invalid_because}"
    assert twice.invalid_causes == (Cause.MACHINE,)


def test_the_worst_load_test_says_how_disturbed_a_row_is() -> None:
    stolen, late = load(**{"generator.steal_share": 0.2}), load(**{"generator.send_lag_p99_us": 5_000.0})
    assert disturbance(row()) == disturbance(row(load())) == 0.0
    assert disturbance(row(load(), stolen, late)) == pytest.approx(2.0)
    assert disturbance(row(late)) == pytest.approx(0.5)


def test_sound_rounds_make_the_row_if_they_are_more_than_half() -> None:
    sound, disturbed = judged(row(load())), judged(row(invalid(Cause.MACHINE)))
    failed = replace(sound, status="failed", reason="it died", measurement="missing")
    assert soundest([sound, disturbed, sound]) == [sound, sound]
    assert soundest([sound, disturbed]) == [sound, disturbed]
    assert soundest([sound, sound, failed]) == [sound, sound, failed]

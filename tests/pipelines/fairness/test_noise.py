"""The limits above which a machine is called too noisy."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.fairness.noise import judge
from pipelines.fairness.rounds import changed
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics.summary import nothing_measured
from pipelines.results import Beat, Cause

EMPTY = nothing_measured(LoadSettings("server", rate_per_s=1), "-")
QUIET = changed(
    EMPTY,
    {
        "load.duration_s": 2.0,
        "server.foreign_cpu_share": 0.01,
        "generator.steal_share": 0.0,
        "generator.send_lag_p99_us": 90.0,
        "generator.cpus": (1,),
        "invalid_causes": (),
    },
)
STEADY = (Beat(0, 0.130), Beat(9, 0.132))


def failed(*loads: Any, beats: tuple[Beat, ...] = STEADY, before: float | None = 0.0) -> list[str]:
    return [check.name for check in judge(loads, beats, before) if not check.passed]


def test_a_quiet_machine_passes_and_shows_its_figures() -> None:
    assert failed(*[QUIET] * 10) == []
    measured = {check.name: check.measured for check in judge([QUIET] * 10, STEADY, 0.0)}
    assert measured["other processes, during load tests"] == pytest.approx(0.01)
    assert measured["calibration loop, slowest over fastest"] == pytest.approx(0.132 / 0.130 - 1)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"server.foreign_cpu_share": 0.2}, "other processes, during load tests"),
        ({"generator.steal_share": 0.2}, "time stolen by the hypervisor"),
        ({"generator.send_lag_p99_us": 4000.0}, "send lag of the generator, p99"),
        ({"invalid_causes": (Cause.MACHINE,)}, "load tests that the machine disturbed"),
    ],
)
def test_each_disturbance_is_named(changes: dict[str, Any], name: str) -> None:
    assert failed(*[QUIET] * 5, *[changed(QUIET, changes)] * 6) == [name]


def test_work_of_others_before_the_run_and_a_processor_that_slows_down() -> None:
    assert failed(QUIET, before=0.5) == ["other processes, just before the run"]
    assert failed(QUIET, beats=(*STEADY, Beat(30, 0.15))) == ["calibration loop, slowest over fastest"]


def test_means_are_over_time() -> None:
    short = changed(QUIET, {"load.duration_s": 0.1, "server.foreign_cpu_share": 0.5})
    assert failed(*[QUIET] * 5, short) == []


def test_what_was_not_measured_passes_as_unknown() -> None:
    checks = judge([], (), None)
    assert all(check.passed and check.measured is None for check in checks)

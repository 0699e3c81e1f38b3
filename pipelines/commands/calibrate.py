"""``slipway calibrate``: measures the load tester itself, against a server whose latencies are known."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from pipelines.commands.base import command, emit


@command("calibrate", "calibrate", "calibrate --json")
def calibrate_command(_workspace: Any, as_json: bool) -> None:
    """Check the load tester against a server whose latencies are known. Exit code 1 if a check fails."""
    from pipelines.loadtest.standalone.calibration import calibrate
    from pipelines.loadtest.standalone.display import Display

    with Display("calibration") as display:
        checks = calibrate(say=display.say)
    passed = all(check.passed for check in checks)

    def text() -> None:
        for check in checks:
            truth = f"truth {check.truth:.6g}, " if check.truth is not None else ""
            mark = "pass" if check.passed else "FAIL"
            click.echo(
                f"{mark}  {check.transport:<5} {check.name:<18} {check.measured:<10.6g} {truth}limit {check.limit:.4g}"
            )
        click.echo("calibration passed" if passed else "calibration failed: this machine is too noisy right now")

    rows = [{**asdict(check), "passed": check.passed} for check in checks]
    emit({"passed": passed, "checks": rows}, as_json, text)
    if not passed:
        sys.exit(1)

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
            right = f"at most {check.limit:.4g}"
            if check.truth is not None:
                right = f"right is {check.truth:.6g}" + (f" ± {check.limit:.2g}" if check.limit else "")
            mark = "pass" if check.passed else "FAIL"
            click.echo(f"{mark}  {check.transport:<5} {check.name:<18} {check.measured:<10.6g} {right}")
        failed = sum(not check.passed for check in checks)
        click.echo(
            "calibration passed"
            if passed
            else f"calibration failed: {failed} of {len(checks)} checks; do not trust load tests while it fails. "
            "Try again when the machine does nothing else"
        )

    rows = [{**asdict(check), "passed": check.passed} for check in checks]
    emit({"passed": passed, "checks": rows}, as_json, text)
    if not passed:
        sys.exit(1)

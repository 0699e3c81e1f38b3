"""Fixtures of the faces' tests; the made-up reports themselves are in report_samples.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines.results import Report

# Tests are no packages (importlib mode): this is how they find the modules that they share.
sys.path.append(str(Path(__file__).parent))

from report_samples import REPORTS, full


@pytest.fixture(params=sorted(REPORTS))
def any_report(request: pytest.FixtureRequest) -> Report:
    """Each of the made-up reports in turn."""
    return REPORTS[request.param]()


@pytest.fixture(scope="session")
def full_report() -> Report:
    return full()

"""The allowance that tests make for a machine that others use: they judge answers, counts and order, not times."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.loadtest.recording import Outcome, load_recording
from pipelines.loadtest.truth.clock import read_lateness
from pipelines.loadtest.truth.start import Truth
from pipelines.results import Cause, Scenario
from serving.clients.transport import send


def check_answers(found: Scenario) -> None:
    """Check that every request was answered, and rightly. Only a lack of processor time may make the result invalid.

    Without a failed request, the cause SERVER means that it did not keep up: it shares the machine with the test.
    """
    assert found.load.requests > 0
    assert (found.load.errors, found.match_share) == (0, 1.0), found.invalid_because
    assert set(found.invalid_causes) <= {Cause.MACHINE, Cause.SERVER}, found.invalid_because
    assert found.valid == (not found.invalid_causes)


def late_ms(truth: Truth) -> float:
    """Return how late the latest answer of the ground truth was since the last call, by its own clock."""
    return read_lateness(send(truth.call("/late"), b"")).max_ms


def latencies_ms(folder: Path) -> np.ndarray:
    """Return the latencies of the measured, answered requests in a test's folder, in the order of sending."""
    recording = load_recording(folder)
    measured = slice(recording.first, None)
    answered = recording.outcome[measured] == Outcome.ANSWERED
    return (recording.done - recording.intended)[measured][answered] / 1e6

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.errors import UserError
from pipelines.loadtest.plan.plan import Plan, load_plan, save_plan
from pipelines.loadtest.plan.schedule import schedule_of
from pipelines.loadtest.recording import (
    Outcome,
    Recorder,
    Sample,
    load_blobs,
    load_recording,
    save_blobs,
    save_recording,
)
from pipelines.loadtest.request import Tls, UrlCall
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics.summary import summarise
from pipelines.results import Cause


@given(st.integers(0, 500), st.integers(1, 40), st.randoms(use_true_random=False))
def test_a_sample_is_bounded_even_and_complete_when_it_fits(count: int, most: int, random) -> None:
    sample: Sample[int] = Sample(most, 10**9)
    order = list(range(count))
    random.shuffle(order)
    for position in order:
        sample.add(position, position * 3, 1)
    kept = [position for position, _ in sample.items()]
    assert len(kept) <= most
    assert all(answer == position * 3 for position, answer in sample.items())
    if count <= most:
        assert kept == list(range(count))
    elif most >= 8:
        # Evenly spread, to the very end: half of `most` or more would be fair; gaps differ by the golden ratio.
        assert len(kept) >= most // 4
        assert max(np.diff([*kept, count])) <= 8 * count / most + 1


@pytest.mark.parametrize("period", [2, 3, 4, 5, 7, 8, 13, 16, 21])
@pytest.mark.parametrize("count", [3_000, 50_000])
def test_a_sample_is_in_step_with_no_period(period: int, count: int) -> None:
    """In step with a period, a sample could pass a server that is wrong about one body of four, or fail it entirely."""
    sample: Sample[None] = Sample(2_000, 10**9)
    for position in range(count):
        sample.add(position, None, 1)
    phases = np.bincount([position % period for position, _ in sample.items()], minlength=period)
    assert phases.sum() >= 1_000
    assert phases.min() > 0.75 * phases.mean()
    assert phases.max() < 1.25 * phases.mean()


def test_a_sample_is_bounded_in_bytes_and_keeps_at_least_one() -> None:
    sample: Sample[int] = Sample(1000, 100)
    for position in range(1000):
        sample.add(position, position, 10)
        assert len(sample.items()) <= 10
    assert len(sample.items()) >= 4
    large: Sample[int] = Sample(1000, 100)
    for position in range(3):
        large.add(position, position, 1000)
    assert len(large.items()) == 1


def test_blobs_survive_their_files(tmp_path: Path) -> None:
    blobs = [b"", b"a" * 1000, b"\0\n", b""]
    save_blobs(tmp_path, "answers", [3, 1, 4, 9], blobs)
    assert list(load_blobs(tmp_path, "answers")) == list(zip([3, 1, 4, 9], blobs, strict=True))
    save_blobs(tmp_path, "none", [], [])
    assert list(load_blobs(tmp_path, "none")) == []


def test_a_recording_survives_its_files(tmp_path: Path) -> None:
    recorder: Recorder[bytes] = Recorder(10)
    recorder.measure_from(1)
    for time in (5, 6, 7):
        recorder.end(recorder.begin(time, time + 1), Outcome.REFUSED, time + 9, f"HTTP 500:\n  {time}")
    recording = recorder.finish(6, 8, 0.5, 77)
    save_recording(tmp_path, recording)
    again = load_recording(tmp_path)
    assert again.error_examples == ("HTTP 500: 6", "HTTP 500: 7")  # the warm-up's are left out
    assert (again.first, again.start_ns, again.stop_ns, again.cpu_s, again.in_flight_limit) == (1, 6, 8, 0.5, 77)
    for name in ("intended", "sent", "done", "outcome"):
        assert np.array_equal(getattr(again, name), getattr(recording, name))
    assert again.sent.tolist() == [6, 7, 8]


def test_error_examples_are_few_and_short() -> None:
    recorder: Recorder[bytes] = Recorder(100)
    recorder.measure_from(0)
    for number in range(50):
        recorder.end(recorder.begin(0, 0), Outcome.BROKEN, 1, f"error {number} " + "x" * 1000)
    examples = recorder.finish(0, 1, 0.0, 1).error_examples
    assert len(examples) == 5
    assert all(len(text) <= 300 for text in examples)


def test_a_plan_survives_its_files_and_its_token_is_in_none(tmp_path: Path) -> None:
    call = UrlCall(
        "https://127.0.0.1:1",
        "/path",
        method="PUT",
        fields=(("Authorization", "Bearer a-secret-token"), ("X", "1"), ("X", "2")),
        content_types=("a/b", "c/d"),
        tls=Tls("localhost", key="key.pem"),
    )
    settings = LoadSettings("server", rate_per_s=3.0)
    schedule = schedule_of(settings)
    plan = Plan(call, [b"one", b"two"], settings, schedule, 42)
    found = load_plan(tmp_path, save_plan(tmp_path, plan))
    assert replace(found, schedule=schedule) == plan
    assert np.array_equal(found.schedule.offsets_ns, schedule.offsets_ns)
    assert (found.schedule.first, found.schedule.end_ns) == (schedule.first, schedule.end_ns)
    assert all(b"a-secret-token" not in file.read_bytes() for file in tmp_path.iterdir())


def test_a_summary_of_known_times() -> None:
    """Ten requests every 10 ms from 0, each answered after 15 ms; the first three are warm-up, one fails."""
    recorder: Recorder[bytes] = Recorder(100)
    recorder.measure_from(3)
    for start in range(0, 100_000_000, 10_000_000):
        index = recorder.begin(start, start + 2_000)
        outcome = Outcome.TIMED_OUT if index == 5 else Outcome.ANSWERED
        recorder.end(index, outcome, start + 15_000_000, "late")
    recording = recorder.finish(30_000_000, 100_000_000, 0.007, 10)
    scenario = summarise(recording, LoadSettings("server", rate_per_s=100, batch=4), checked=4, matched=3)
    assert (scenario.load.requests, scenario.load.errors, scenario.load.error_examples) == (7, 1, ("late",))
    assert scenario.load.duration_s == pytest.approx(0.07)
    # Done between 30 and 100 ms: those sent at 20, 30, 40, 60, 70 and 80 ms.
    assert scenario.load.rate_per_s == pytest.approx(6 / 0.07)
    assert scenario.load.samples_per_s == pytest.approx(24 / 0.07)
    assert (scenario.latency.mean_ms, scenario.latency.max_ms) == (15.0, 15.0)
    assert (scenario.latency.p50_ms, scenario.latency.p99_ms) == (None, None)
    assert scenario.load.concurrency == 2
    assert (scenario.answers_checked, scenario.match_share) == (4, 0.75)
    assert (scenario.generator.send_lag_p50_us, scenario.generator.send_lag_p99_us) == (2.0, 2.0)
    assert scenario.generator.cpu_us_per_request == pytest.approx(1000)
    assert not scenario.valid
    assert scenario.invalid_because is not None
    assert "a median needs 8, had 6" in scenario.invalid_because
    assert scenario.invalid_causes[0] is Cause.TEST


@pytest.mark.parametrize(
    "wrong",
    [
        {"scenario": "serverr"},
        {"scenario": "server"},
        {"scenario": "server", "rate_per_s": 0},
        {"scenario": "server", "rate_per_s": 1e9},
        {"scenario": "offline", "concurrency": 0},
        {"scenario": "offline", "duration_s": float("nan")},
        {"scenario": "offline", "timeout_s": 0},
    ],
)
def test_settings_out_of_range_are_a_line_that_says_so(wrong: dict) -> None:
    with pytest.raises(UserError) as caught:
        LoadSettings(**wrong)
    assert "\n" not in str(caught.value)

from __future__ import annotations

import time
from collections.abc import Collection

import numpy as np
import pytest
from busy_machine import check_answers

from pipelines.base.errors import UserError
from pipelines.loadtest.settings import LoadSettings
from pipelines.stages.in_process import measure_in_process

INPUTS = [{"x": np.full((2, 3), number, np.float32)} for number in range(5)]
_memory = np.empty((2, 3), np.float32)


class Takes:
    """A model that takes a fixed time, or longer on a busy machine, and writes each answer into the same memory."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.longest_ms = 0.0

    def __call__(self, inputs):
        begun = time.monotonic()
        np.multiply(inputs["x"], 2, out=_memory)
        time.sleep(self.seconds)
        self.longest_ms = max(self.longest_ms, 1000 * (time.monotonic() - begun))
        return {"y": _memory}


def right(index: int, answer: dict) -> bool:
    return bool(np.all(answer["y"] == 2 * index))


def test_single_stream() -> None:
    model = Takes(0.005)
    found = measure_in_process(model, INPUTS, right, LoadSettings("single-stream", 0.5, 0.1, batch=2))
    check_answers(found)
    assert found.latency.p50_ms is not None
    assert 5.0 <= found.latency.p50_ms < model.longest_ms + 1
    assert found.load.samples_per_s == pytest.approx(2 * found.load.rate_per_s)
    # One after another: the mean has no part of the time between them.
    assert found.load.rate_per_s == pytest.approx(found.load.requests / found.load.duration_s)
    assert found.load.rate_per_s < 200
    assert found.answers_checked == found.load.requests
    assert found.generator.cpu_us_per_request is None
    assert found.server.cpu_ms_per_request is not None
    assert 0 < found.server.cpu_ms_per_request < 5


@pytest.mark.parametrize("scenario", ["single-stream", "server"])
def test_cpu_time_is_that_of_the_measured_calls(scenario: str) -> None:
    """Compared with the CPU time of this process from the first measured call to the last."""
    begun, ended = [], []

    def burns(inputs):
        begun.append(time.process_time())
        while time.process_time() < begun[-1] + 0.002:
            pass
        ended.append(time.process_time())
        return {"y": inputs["x"] * 2}

    found = measure_in_process(burns, INPUTS, right, LoadSettings(scenario, 0.4, 0.1, rate_per_s=100.0))
    measured = found.load.requests
    assert len(begun) > 1.1 * measured  # there was a warm-up
    spent_ms = 1000 * (ended[-1] - begun[-measured]) / measured
    assert found.server.cpu_ms_per_request == pytest.approx(spent_ms, rel=0.1)
    assert spent_ms < 6  # pauses of 10 ms on average take none


@pytest.mark.parametrize(("scenario", "rate"), [("offline", 1.0), ("server", 20.0), ("server", 200.0)])
def test_one_thread_uses_one_core_at_most_however_far_it_falls_behind(scenario: str, rate: float) -> None:
    def burns(inputs):
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass
        return {"y": inputs["x"] * 2}

    found = measure_in_process(burns, INPUTS, right, LoadSettings(scenario, 0.4, 0.1, rate_per_s=rate))
    assert found.server.cores is not None
    assert 0.02 < found.server.cores < 1.05


def test_offline_requests_wait_for_those_before_them() -> None:
    found = measure_in_process(Takes(0.005), INPUTS, right, LoadSettings("offline", 0.5, 0.1, concurrency=4))
    check_answers(found)
    assert 0 < found.load.rate_per_s <= 200
    # Little's law: four in the system.
    assert found.latency.mean_ms is not None
    assert found.latency.mean_ms == pytest.approx(4 * 1000 / found.load.rate_per_s, rel=0.3)


@pytest.mark.parametrize(("least", "timeout_s", "requests"), [(8, 10.0, (8,)), (1000, 0.2, range(5, 27))])
def test_a_closed_loop_goes_on_for_the_least_requests(least: int, timeout_s: float, requests: Collection[int]) -> None:
    chosen = LoadSettings("offline", 0.05, 0.0, concurrency=4, least=least, timeout_s=timeout_s)
    found = measure_in_process(Takes(0.01), INPUTS, right, chosen)
    check_answers(found)
    assert found.load.requests in requests


def test_server_queues() -> None:
    """Poisson arrivals at 40/s, 10 ms each: two of five find the worker busy, and wait for it."""
    found = measure_in_process(Takes(0.01), INPUTS, right, LoadSettings("server", 1.2, 0.1, rate_per_s=40.0))
    check_answers(found)
    assert found.latency.p50_ms is not None
    assert found.latency.p50_ms >= 10.0
    assert found.latency.max_ms is not None
    assert found.latency.max_ms > 15.0
    assert found.load.concurrency > 1
    assert found.generator.send_lag_p50_us is not None
    assert found.generator.send_lag_p50_us >= 0


def test_server_that_is_too_slow_is_not_valid_and_ends() -> None:
    settings = LoadSettings("server", 0.8, 0.0, rate_per_s=300.0, timeout_s=0.4)
    found = measure_in_process(Takes(0.02), INPUTS, right, settings)
    assert found.load.requests > 150
    assert found.load.errors > 0
    assert found.load.error_examples == ("no answer within 0.4 s",)
    assert found.latency.max_ms is not None
    assert 200 < found.latency.max_ms <= 400
    assert not found.valid


def test_what_predict_raises_is_an_error_of_the_request() -> None:
    def fails(inputs):
        if inputs["x"][0, 0] == 3:
            raise RuntimeError("three\nis too many")
        return {"y": inputs["x"] * 2}

    found = measure_in_process(fails, INPUTS, right, LoadSettings("single-stream", 0.05, 0.0))
    assert found.load.errors == pytest.approx(found.load.requests / 5, abs=1)
    assert found.load.error_examples == ("RuntimeError: three is too many",)
    assert found.match_share == 1.0
    assert not found.valid


def test_wrong_answers_are_found() -> None:
    def wrong(index: int, answer: dict) -> bool:
        return index != 2 and right(index, answer)

    found = measure_in_process(Takes(0.001), INPUTS, wrong, LoadSettings("single-stream", 0.2, 0.0))
    assert found.match_share == pytest.approx(0.8, abs=0.03)


def test_no_inputs() -> None:
    with pytest.raises(UserError, match="nothing to predict"):
        measure_in_process(Takes(0), [], right, LoadSettings("offline"))

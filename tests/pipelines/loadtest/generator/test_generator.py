"""Scenarios and ends of a test, and looking at it while it runs."""

from __future__ import annotations

import numpy as np
import pytest
from busy_machine import check_answers, late_ms

from pipelines.loadtest.generator.live import Glance
from pipelines.loadtest.measure import Interrupted, measure
from pipelines.loadtest.recording import load_recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics.limits import MAX_CPU_SHARE
from pipelines.loadtest.truth.clock import read_lateness
from pipelines.results import Cause
from serving.clients.transport import send


def right(bodies: list[bytes]):
    return lambda index, answer: answer == bodies[index]


def test_multi_stream_sends_a_query_when_the_one_before_is_answered(truth, bodies, tmp_path) -> None:
    settings = LoadSettings("multi-stream", 0.6, 0.1, concurrency=4)
    late_ms(truth)
    found = measure(truth.call("/serial/3"), bodies, right(bodies), settings, tmp_path)
    check_answers(found)
    assert (found.load.concurrency, found.load.closed_loop) == (4, True)
    assert found.load.requests % 4 == 0
    # The query's latency is its last answer's: four times 3 ms.
    assert found.latency.p50_ms is not None
    assert 12 <= found.latency.p50_ms < 25 + 4 * late_ms(truth)
    recording = load_recording(tmp_path)
    done = recording.done.reshape(-1, 4).max(axis=1)
    assert np.all(recording.intended.reshape(-1, 4)[1:, 0] >= done[:-1])


@pytest.mark.parametrize("scenario", ["single-stream", "offline", "multi-stream", "server"])
def test_a_number_of_requests_ends_a_test(http_truth, bodies, tmp_path, scenario: str) -> None:
    settings = LoadSettings(scenario, 60.0, 0.1, rate_per_s=400.0, concurrency=4, requests=100)
    found = measure(http_truth.call("/echo/1"), bodies, right(bodies), settings, tmp_path)
    check_answers(found)
    assert found.load.requests == 100
    assert found.load.duration_s < settings.duration_s


def test_uniform_arrivals(http_truth, bodies, tmp_path) -> None:
    settings = LoadSettings("server", 0.5, 0.1, rate_per_s=100.0, arrivals="uniform")
    found = measure(http_truth.call("/echo/1"), bodies, right(bodies), settings, tmp_path)
    assert (found.load.requests, found.load.arrivals) == (50, "uniform")
    assert set(np.diff(load_recording(tmp_path).intended)) == {10_000_000}


def test_a_trace(http_truth, bodies, tmp_path) -> None:
    trace = tmp_path / "trace.txt"
    trace.write_text("\n".join(str(i * i / 2000) for i in range(40)))
    folder = tmp_path / "test"
    folder.mkdir()
    settings = LoadSettings("server", 0.8, 0.0, arrivals="trace", trace=str(trace))
    found = measure(http_truth.call("/echo/1"), bodies, right(bodies), settings, folder)
    assert (found.load.requests, found.load.arrivals) == (40, "trace")
    assert found.load.offered_per_s == pytest.approx(50)
    assert np.diff(load_recording(folder).intended)[:3] == pytest.approx([5e5, 15e5, 25e5], abs=2)


def test_what_every_result_says_of_the_generator_and_the_machine(truth, bodies, tmp_path) -> None:
    settings = LoadSettings("server", 0.8, 0.1, rate_per_s=200.0)
    found = measure(truth.call("/echo/2"), bodies, right(bodies), settings, tmp_path)
    assert found.generator.send_lag_p99_us is not None
    assert found.generator.send_lag_max_us is not None
    assert found.generator.send_lag_max_us >= found.generator.send_lag_p99_us
    assert found.generator.cpu_share is not None
    assert found.generator.cpu_us_per_request is not None
    by_requests = found.generator.cpu_us_per_request * found.load.requests / 1e6
    recording = load_recording(tmp_path)
    seconds = (recording.ended_ns - recording.start_ns) / 1e9
    assert 0 < found.generator.cpu_share == pytest.approx(by_requests / seconds)
    assert found.latency.first_byte_p50_ms is not None
    assert found.latency.p50_ms is not None
    assert 2.0 <= found.latency.first_byte_p50_ms <= found.latency.p50_ms
    assert found.load.received_bytes == 3_000 * found.load.requests
    assert found.load.distinct_inputs == 7
    assert found.generator.steal_share is None or 0 <= found.generator.steal_share < 1
    assert sum(moment.requests for moment in found.latency.timeline) == found.load.requests
    assert found.latency.tail[-1][1] == found.latency.max_ms


def test_a_generator_that_is_the_limit_is_not_valid(http_truth, tmp_path) -> None:
    """Against a server that answers at once, a closed loop of many requests measures the generator or the server.

    Either way, a valid result must not have used more than its share, and only the machine makes it invalid.
    """
    settings = LoadSettings("offline", 0.8, 0.1, concurrency=64)
    found = measure(http_truth.call("/echo"), [b"x"], lambda *_: True, settings, tmp_path)
    assert found.generator.cpu_share is not None
    assert not found.valid or found.generator.cpu_share <= MAX_CPU_SHARE
    assert found.valid or found.invalid_causes == (Cause.MACHINE,), found.invalid_because


@pytest.mark.parametrize("scenario", ["offline", "multi-stream", "server"])
def test_an_interrupt_keeps_what_there_is(truth, bodies, tmp_path, scenario: str) -> None:
    seen: list[Glance] = []

    def watch(glance: Glance | None) -> None:
        if glance is not None:
            seen.append(glance)
            if glance.answered > 60:
                raise KeyboardInterrupt

    settings = LoadSettings(scenario, 30.0, 0.1, rate_per_s=200.0, concurrency=4, timeout_s=5.0)
    with pytest.raises(Interrupted) as caught:
        measure(truth.call("/echo/10"), bodies, right(bodies), settings, tmp_path, watch=watch, keep_partial=True)
    found = caught.value.scenario
    assert found.partial
    assert not found.valid
    assert found.invalid_because is not None
    assert found.invalid_because.startswith("interrupted after ")
    assert found.load.requests >= seen[-1].answered
    assert (found.load.errors, found.match_share) == (0, 1.0)
    assert found.latency.p50_ms is not None
    assert found.latency.p50_ms >= 10
    assert found.load.duration_s < settings.duration_s


def test_an_interrupt_within_the_warm_up(http_truth, bodies, tmp_path) -> None:
    def interrupt(_: float) -> None:
        if read_lateness(send(http_truth.call("/late"), b"")).answers:  # it has begun
            raise KeyboardInterrupt

    late_ms(http_truth)
    settings = LoadSettings("server", 10.0, 10.0, rate_per_s=50.0)
    with pytest.raises(Interrupted) as caught:
        measure(http_truth.call("/echo/1"), bodies, right(bodies), settings, tmp_path, interrupt, keep_partial=True)
    assert caught.value.scenario.load.requests == 0
    assert caught.value.scenario.invalid_because == "interrupted before anything was measured"


def test_a_glance_counts_what_has_ended(truth, bodies, tmp_path) -> None:
    seen: list[Glance] = []
    settings = LoadSettings("server", 1.5, 0.2, rate_per_s=200.0)
    found = measure(
        truth.call("/every/10/error"),
        bodies,
        right(bodies),
        settings,
        tmp_path,
        watch=lambda glance: seen.append(glance) if glance is not None else None,
    )
    assert len(seen) > 5
    assert [glance.answered for glance in seen] == sorted(glance.answered for glance in seen)
    last = seen[-1]
    assert (last.sent, last.errors, last.in_flight) == (found.load.requests, found.load.errors, 0)
    middle = seen[len(seen) // 2]
    assert middle.sent == middle.answered + middle.errors + middle.in_flight
    assert middle.rate_per_s > 0
    assert middle.p50_ms is not None
    assert middle.p99_ms is not None
    assert middle.p50_ms <= middle.p99_ms

"""Several generators under one coordinator, in network namespaces where the machine allows them."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import UserError
from pipelines.loadtest.live import Glance, Look, together
from pipelines.loadtest.parts import Told
from pipelines.loadtest.recording import Outcome, Recorder, save_blobs, save_recording
from pipelines.loadtest.schedule import schedule_of, split
from pipelines.loadtest.settings import MAX_SECONDS, LoadSettings
from pipelines.loadtest.several import conclude, measure_together
from pipelines.loadtest.truth.behaviour import true_latencies_ms


@given(st.integers(1, 8), st.integers(0, 1000))
def test_the_parts_of_a_schedule_are_the_whole(parts: int, seed: int) -> None:
    whole = schedule_of(LoadSettings("server", 1.0, 0.2, rate_per_s=300.0, seed=seed))
    found = split(whole, parts, seed)
    assert np.array_equal(np.sort(np.concatenate([one.offsets_ns for one in found])), whole.offsets_ns)
    assert sum(one.first for one in found) == whole.first
    assert {one.end_ns for one in found} == {whole.end_ns}


def test_two_generators_see_the_stall_as_one_would(truth, bodies, tmp_path) -> None:
    path = "/stall/600/300/5"
    settings = LoadSettings("server", 1.5, 0.0, rate_per_s=200.0, seed=5)
    found, recording = measure_together(
        truth.call(path), bodies, lambda i, answer: answer == bodies[i], settings, tmp_path, 2
    )
    assert recording is not None
    assert (found.generators, found.errors, found.match_share) == (2, 0, 1.0)
    schedule = schedule_of(settings).offsets_ns
    assert np.array_equal(np.diff(recording.intended), np.diff(schedule))
    promised = true_latencies_ms(recording.intended, path)
    assert np.median((recording.done - recording.intended) / 1e6 - promised) < 5.0
    assert found.max_ms is not None
    assert found.max_ms > 250


def test_they_share_the_concurrency(http_truth, bodies, tmp_path) -> None:
    settings = LoadSettings("offline", 0.6, 0.1, concurrency=5, timeout_s=MAX_SECONDS)  # and as patient as may be
    found, _ = measure_together(
        http_truth.call("/echo/20"), bodies, lambda i, answer: answer == bodies[i], settings, tmp_path, 2
    )
    assert found.valid, found.invalid_because
    assert found.concurrency == 5
    assert 80 < found.rate_per_s <= 250


@pytest.mark.parametrize(("scenario", "concurrency"), [("single-stream", 1), ("multi-stream", 8), ("offline", 1)])
def test_what_cannot_be_shared(http_truth, bodies, tmp_path, scenario: str, concurrency: int) -> None:
    settings = LoadSettings(scenario, 0.5, 0.0, concurrency=concurrency)
    with pytest.raises(UserError, match="several generators share"):
        measure_together(http_truth.call("/echo"), bodies, lambda *_: True, settings, tmp_path, 2)


@pytest.mark.network
@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_generators_in_network_namespaces(kind: str, two_namespaces, start_truth, bodies, tmp_path) -> None:
    names, address = two_namespaces
    settings = LoadSettings("server", 1.0, 0.1, rate_per_s=150.0)
    with start_truth(kind, address) as server:
        found, recording = measure_together(
            server.call("/echo/5"), bodies, lambda i, answer: answer == bodies[i], settings, tmp_path, 2, names
        )
    assert recording is not None, found.invalid_because
    assert (found.generators, found.errors, found.match_share) == (2, 0, 1.0)
    assert found.p50_ms is not None
    assert 5 <= found.p50_ms < 20


def test_a_namespace_that_is_not_there(http_truth, bodies, tmp_path) -> None:
    settings = LoadSettings("server", 0.5, 0.0, rate_per_s=50.0)
    call = http_truth.call("/echo")
    found, recording = measure_together(call, bodies, lambda *_: True, settings, tmp_path, 2, ["no-such", "none"])
    assert recording is None
    assert not found.valid
    assert found.invalid_because is not None
    assert "the load generator ended" in found.invalid_because


def test_a_generator_that_dies_costs_its_part(http_truth, bodies, tmp_path) -> None:
    """And how all of them stand is shown together, until then and after."""
    glances: list[Glance] = []
    killed = False

    def watch(share: float, glance: Glance | None) -> None:
        nonlocal killed
        glances.extend([glance] if glance else [])
        if share > 0.4 and not killed:
            killed = True
            os.kill(generators_under(os.getpid(), tmp_path / "1")[0], signal.SIGKILL)

    settings = LoadSettings("server", 1.5, 0.0, rate_per_s=300.0)
    call = http_truth.call("/echo/3")
    found, recording = measure_together(call, bodies, lambda *_: True, settings, tmp_path, 2, watch=watch)
    assert recording is not None
    assert not found.valid
    assert found.invalid_because is not None
    assert "the load generator 2 of 2 is lost, and its part of the load" in found.invalid_because
    assert "signal 9" in found.invalid_because
    assert (found.parts[0].lost, found.parts[0].requests) == (None, found.requests)
    assert 150 < found.requests < 300
    both = [glance.rate_per_s for glance in glances if glance.rate_per_s > 225]
    assert both  # more than one generator's part was seen
    assert all(glance.p99_ms is None or glance.p99_ms >= 3 for glance in glances)


def generators_under(parent: int, folder: Path) -> list[int]:
    children = psutil.Process(parent).children(recursive=True)
    return [one.pid for one in children if str(folder) in one.cmdline() and one.name() != "ip"]


def test_an_interrupt_keeps_what_there_is(http_truth, bodies, tmp_path) -> None:
    def watch(share: float, glance: Glance | None) -> None:
        if glance is not None and glance.answered > 50:
            raise KeyboardInterrupt

    settings = LoadSettings("server", 20.0, 0.1, rate_per_s=200.0)
    call = http_truth.call("/echo/3")
    found, recording = measure_together(call, bodies, lambda *_: True, settings, tmp_path, 2, watch=watch)
    assert recording is not None
    assert found.partial
    assert "interrupted" in str(found.invalid_because)
    assert found.requests > 50
    assert all(part.requests > 10 and part.lost is None for part in found.parts)


@dataclass
class Ended:
    """A part that has left a recording in its folder."""

    folder: Path
    host: str | None = "far"
    name: str = "1 of 1"


def test_a_clock_that_is_not_known_well_enough(tmp_path) -> None:
    """The common start may then be as far off as that: what the send lag may not be."""
    recorder: Recorder[bytes] = Recorder(500)
    recorder.measure_from(0)
    for number in range(300):
        index = recorder.begin(number * 10**7, number * 10**7 + 1000)
        recorder.end(index, Outcome.ANSWERED, number * 10**7 + 2_000_000)
    save_recording(tmp_path, recorder.finish(0, 3 * 10**9, 0.01, 100))
    save_blobs(tmp_path, "answers", [], [])
    settings = LoadSettings("server", 3.0, 0.0, rate_per_s=100.0)
    part = Ended(tmp_path)
    for bound_us, valid in ((9_000.0, True), (11_000.0, False)):
        told = Told(clock_bound_us=bound_us)
        found, _ = conclude([part], [told], [b""], lambda *_: True, settings, False)
        assert found.valid == valid, found.invalid_because
    assert found.invalid_because is not None
    assert "on far has a clock that is known to within 11.0 ms (limit 10.0 ms)" in found.invalid_because
    found, _ = conclude([part], [Told()], [b""], lambda *_: True, settings, True)
    assert (found.partial, found.valid, found.invalid_because) == (True, False, "interrupted")
    lost = Ended(tmp_path / "none")
    with pytest.raises(KeyboardInterrupt):
        conclude([lost], [Told()], [b""], lambda *_: True, settings, True)
    found, recording = conclude([lost], [Told()], [b""], lambda *_: True, settings, False)
    assert recording is None
    assert "on far is lost, and its part of the load: it left no recording" in str(found.invalid_because)


def test_one_look_at_several() -> None:
    """Percentiles are those of all latencies: 1 ms of 100 and 9 ms of 300 have a median of 9, and no average."""
    looks = [Look(120, 100, 5, 15, 1e9, np.full(100, 1e6)), Look(300, 300, 0, 0, 0.5e9, np.full(300, 9e6))]
    assert together([*looks, None]) == Glance(420, 400, 5, 15, 700.0, 9.0, 9.0, 9.0)
    assert together([None, None]) is None
    nothing = Look(3, 0, 0, 3, 1e9, np.empty(0))
    assert together([nothing]) == Glance(3, 0, 0, 3, 0.0, None, None, None)

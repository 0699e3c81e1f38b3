"""Several generators under one coordinator, in network namespaces where the machine allows them."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import UserError
from pipelines.loadtest.schedule import schedule_of, split
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.several import measure_together
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
    settings = LoadSettings("offline", 0.6, 0.1, concurrency=5)
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


def run(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False, timeout=20).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def two_namespaces() -> Iterator[tuple[list[str], str]]:
    """Two network namespaces, each with one way out; (their names, an address of this side that both can reach)."""
    mark = uuid.uuid4().hex[:5]
    names = [f"slip{mark}{number}" for number in range(2)]
    net = f"10.231.{int(mark[:2], 16)}"
    try:
        for number, name in enumerate(names):
            here, there = f"sa{mark}{number}", f"sb{mark}{number}"
            near, far = f"{net}.{4 * number + 1}", f"{net}.{4 * number + 2}"
            inside = ("ip", "netns", "exec", name)
            steps = (
                ("ip", "netns", "add", name),
                ("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name),
                ("ip", "addr", "add", f"{near}/30", "dev", here),
                ("ip", "link", "set", here, "up"),
                (*inside, "ip", "addr", "add", f"{far}/30", "dev", there),
                (*inside, "ip", "link", "set", there, "up"),
                (*inside, "ip", "route", "add", "default", "via", near),
            )
            if os.getuid() or not all(run(*step) for step in steps):
                pytest.skip("this machine allows no network namespaces")
        yield names, f"{net}.1"
    finally:
        for name in names:
            run("ip", "netns", "delete", name)


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

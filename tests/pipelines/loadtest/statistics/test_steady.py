from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.loadtest.statistics.steady import BATCH, mser5, settled


@given(st.integers(50, 400), st.integers(0, 10_000))
def test_the_cut_is_the_least_error_of_the_rest(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).exponential(1, count)
    batches = values[: count // BATCH * BATCH].reshape(-1, BATCH).mean(axis=1)
    errors = [batches[d:].var() / len(batches[d:]) for d in range(len(batches) - BATCH)]
    best = int(np.argmin(errors))
    assert mser5(values) == (best * BATCH if best <= len(batches) // 2 else None)


def test_a_slow_start_is_found() -> None:
    noise = np.random.default_rng(1).normal(10, 1, 2_000)
    noise[:300] += np.linspace(40, 0, 300)
    found = mser5(noise)
    assert found is not None
    assert 200 <= found <= 320
    after = settled(np.arange(2_000) / 100, noise)
    assert after == pytest.approx(found * 1.5 / 100, abs=0.02)


def test_what_never_settles() -> None:
    assert mser5(np.arange(1_000.0)) is None
    assert settled(np.arange(1_000.0), np.arange(1_000.0)) is None
    assert mser5(np.ones(49)) is None
    assert settled(np.empty(0), np.empty(0)) is None


def test_what_is_steady_from_the_start() -> None:
    found = settled(np.arange(1_000) / 100, np.random.default_rng(2).normal(10, 1, 1_000))
    assert found is not None
    assert found < 1.5

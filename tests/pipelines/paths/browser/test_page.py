"""A payload in a real browser: arrays in and out, what fails, and the figures of the page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browsers import NEEDS_BROWSER, site

from pipelines.base.errors import SlipwayError
from pipelines.paths.browser.page import BrowserPage, open_page

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserPage]:
    opened = BrowserPage(site(tmp_path_factory.mktemp("site"), '{"busy_ms": 20, "refuses": -1}'), 1)
    yield opened
    opened.close()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8"])
def test_arrays_come_back_as_they_went(page: BrowserPage, dtype: str) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    more = np.array([[2**53 + 1]]) if dtype == "int64" else np.array([[0.1, np.inf, np.nan]])
    found = page.predict({"x": values, "y": more})
    assert (found["doubled"].dtype, found["y"].dtype) == (values.dtype, more.dtype)
    assert np.array_equal(found["doubled"], values + values)
    assert np.array_equal(found["y"], more, equal_nan=dtype != "int64")


def test_the_page_tells_its_figures(page: BrowserPage) -> None:
    page.predict({"x": np.ones((1, 1), np.float32)})
    found = page.figures()
    assert 0 < found["load_s"] < found["cold_start_s"]
    assert found["first_call_s"] >= 0.02
    assert found["cold_start_s"] == pytest.approx(found["load_s"] + found["first_call_s"])
    assert found["download_bytes"] > 1_000
    assert found["page_memory_bytes"] > 100_000


def test_the_pages_clock_is_told_from_the_systems(page: BrowserPage) -> None:
    zero_ns = page.zero_ns()
    before = time.monotonic_ns()
    now_ns = zero_ns + page.chromium.value("performance.now()") * 1e6
    after = time.monotonic_ns()
    assert before - 5e6 < now_ns < after + 5e6


def test_an_exception_of_the_model_is_an_error_and_the_page_lives(page: BrowserPage) -> None:
    with pytest.raises(SlipwayError, match="refused on purpose"):
        page.predict({"x": np.full((1, 1), -1, np.float32)})
    assert page.predict({"x": np.ones((1, 1), np.float32)})["doubled"].item() == 2


def test_a_model_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match="the page failed: Error: broken on purpose"):
        open_page(site(tmp_path, '{"broken": true}'), 1)


def test_a_session_counts_the_browsers_processes_and_leaves_none(tmp_path: Path, nothing_left) -> None:
    with open_page(site(tmp_path), 1) as session:
        assert session.page is not None
        assert set(session.processes) <= set(session.page.chromium.processes)
        assert len(session.processes) > 2
        assert all(url.startswith("http://127.0.0.1:") for url in session.page.requests)
    assert nothing_left() == []

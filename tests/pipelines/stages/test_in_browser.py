"""Load tests inside a page: the same figures as in process, on the page's own clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from browsers import NEEDS_BROWSER, site
from busy_machine import check_answers

from pipelines.base.errors import UserError
from pipelines.fairness.processes import Watch
from pipelines.loadtest.settings import LoadSettings
from pipelines.paths import Session
from pipelines.paths.browser.page import open_page
from pipelines.results import Scenario
from pipelines.stages.in_browser import measure_in_browser

pytestmark = NEEDS_BROWSER

INPUTS = [{"x": np.full((2, 3), number, np.float32)} for number in range(5)]
BUSY_MS = 5


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = site(tmp_path_factory.mktemp("site"), f'{{"busy_ms": {BUSY_MS}, "refuses": 4}}')
    with open_page(folder, 1) as opened:
        yield opened


def right(index: int, answer: dict[str, np.ndarray]) -> bool:
    return bool(np.all(answer["doubled"] == 2 * index))


def measured(session: Session, settings: LoadSettings, inputs: list = INPUTS[:4]) -> tuple[Scenario, tuple[int, int]]:
    assert session.page is not None
    watch = Watch([psutil.Process(number) for number in session.processes])
    return measure_in_browser(session.page, inputs, right, settings, watch)


def test_single_stream(session: Session) -> None:
    found, (start_ns, stop_ns) = measured(session, LoadSettings("single-stream", 0.5, 0.1, batch=2))
    check_answers(found)
    assert found.latency.p50_ms is not None
    assert found.latency.p50_ms >= BUSY_MS - 0.1  # the resolution of the page's clock
    assert found.load.samples_per_s == pytest.approx(2 * found.load.rate_per_s)
    assert found.load.rate_per_s <= 1000 / BUSY_MS + 1
    assert found.answers_checked == found.load.requests > 0
    assert found.load.warmup_requests > 0
    assert 0.2 < (stop_ns - start_ns) / 1e9 <= 0.6
    assert found.server.cpu_ms_per_request is not None
    assert found.server.cpu_ms_per_request > BUSY_MS / 2


def test_offline_waits_in_line(session: Session) -> None:
    found, _ = measured(session, LoadSettings("offline", 0.5, 0.1, batch=2, concurrency=4))
    check_answers(found)
    assert found.latency.p50_ms is not None
    assert found.latency.p50_ms >= 4 * (BUSY_MS - 0.1)


def test_server_offers_the_schedule(session: Session) -> None:
    settings = LoadSettings("server", 1.0, 0.2, rate_per_s=50.0, seed=3)
    found, _ = measured(session, settings)
    again, _ = measured(session, settings)
    assert found.load.requests == again.load.requests > 20
    assert found.load.errors == 0
    assert found.match_share == 1.0
    assert found.load.arrivals == "poisson"
    assert found.generator.send_lag_p50_us is not None
    assert found.generator.send_lag_p50_us >= 0


def test_exceptions_and_late_answers_are_errors(session: Session) -> None:
    found, _ = measured(session, LoadSettings("single-stream", 0.3, 0.0), INPUTS)
    assert 0 < found.load.errors < found.load.requests
    assert found.load.error_examples == ("Error: refused on purpose",)
    late, _ = measured(session, LoadSettings("single-stream", 0.2, 0.0, timeout_s=0.001))
    assert late.load.errors == late.load.requests > 0
    assert late.load.error_examples == ("no answer within 0.001 s",)


def test_a_number_of_requests_is_kept(session: Session) -> None:
    found, _ = measured(session, LoadSettings("single-stream", 5.0, 0.0, requests=7))
    assert found.load.requests == 7


def test_a_closed_loop_goes_on_for_the_least_requests(session: Session) -> None:
    found, _ = measured(session, LoadSettings("single-stream", 0.01, 0.0, least=8))
    assert found.load.requests == 8
    impatient, _ = measured(session, LoadSettings("single-stream", 0.01, 0.0, least=1000, timeout_s=0.3))
    assert 0 < impatient.load.requests < 1000


def test_wrong_answers_are_counted(session: Session) -> None:
    assert session.page is not None
    found, _ = measure_in_browser(
        session.page, INPUTS[:2], lambda index, _: index == 0, LoadSettings("single-stream", 0.2, 0.0), Watch([])
    )
    assert found.match_share is not None
    assert 0 < found.match_share < 1


def test_no_inputs(session: Session, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no inputs"):
        measured(session, LoadSettings("single-stream", 0.2, 0.0), [])

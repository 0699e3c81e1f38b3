from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.loadtest.statistics.validity import Counted, broken
from pipelines.results import Cause

GOOD = Counted("server", 1000, 1000, 0, 0, 4096, 1000, 50.0, 100.0, None)


@pytest.mark.parametrize(
    ("changes", "reason", "cause"),
    [
        ({"requests": 0, "answered": 0}, "no request was due", Cause.TEST),
        (
            {"answered": 0, "errors": 1000, "first_error": "refused"},
            "no request was answered, of 1,000: refused",
            Cause.SERVER,
        ),
        (
            {"requests": 7, "answered": 7, "ended_in_window": 7},
            "too few answers: a median needs 8, had 7: test longer",
            Cause.TEST,
        ),
        (
            {"errors": 11, "answered": 989, "first_error": "HTTP 503"},
            "11 of 1,000 requests failed (limit 1%)",
            Cause.SERVER,
        ),
        (
            {"not_sent": 1},
            "1 requests were not sent: 4,096 others were unanswered (limit): test at a lower rate",
            Cause.SERVER,
        ),
        ({"send_lag_p99_us": 10_001.0}, "sent late: p99 10.0 ms", Cause.MACHINE),
        ({"cpu_share": 0.91}, "used 91% of a core (limit 90%)", Cause.MACHINE),
        ({"steal_share": 0.2}, "gave 20% of the processor time to others", Cause.MACHINE),
        ({"min_requests": 1001}, "too short: 1,001 requests are required, there were 1,000: test longer", Cause.TEST),
        (
            {"min_duration_s": 2.0, "duration_s": 1.5},
            "too short: 2 s are required, it took 1.5 s: test longer",
            Cause.TEST,
        ),
        (
            {"planned_s": 10.0, "duration_s": 2.0, "cut_off": 3},
            "interrupted after 2.0 of 10 s; 3 unanswered",
            Cause.INTERRUPTED,
        ),
        (
            {"planned_s": 10.0, "requests": 0, "answered": 0},
            "interrupted before anything was measured",
            Cause.INTERRUPTED,
        ),
        ({"ended_in_window": 949}, "did not keep up: 949 requests ended while 1,000 were due", Cause.SERVER),
    ],
)
def test_each_reason(changes: dict, reason: str, cause: Cause) -> None:
    ((found, text),) = broken(replace(GOOD, **changes))
    assert found == cause
    assert reason in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"errors": 10, "answered": 990},  # 1 %
        {"send_lag_p99_us": 10_000.0},
        {"send_lag_p99_us": 40_000.0, "p99_ms": 500.0},  # little beside the latencies
        {"send_lag_p99_us": None},
        {"cpu_share": 0.9, "steal_share": 0.1},
        {"min_requests": 1000, "min_duration_s": 2.0, "duration_s": 2.0},
        {"ended_in_window": 950},
        {"ended_in_window": 10, "scenario": "offline"},  # a closed loop has no schedule to keep
        {"requests": 20, "answered": 20, "ended_in_window": 15},  # chance: a few in flight at the end
    ],
)
def test_what_is_still_valid(changes: dict) -> None:
    assert broken(replace(GOOD, **changes)) == []


def test_all_reasons_are_given() -> None:
    found = broken(replace(GOOD, errors=500, answered=500, send_lag_p99_us=1e6, ended_in_window=10))
    assert [cause for cause, _ in found] == [Cause.SERVER, Cause.MACHINE, Cause.SERVER]

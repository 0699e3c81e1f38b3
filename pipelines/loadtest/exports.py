"""A result in the words of other tools: k6's summary, and MLPerf LoadGen's summary. Pure."""

from __future__ import annotations

from typing import Any

from pipelines.results import Scenario

MLPERF_NAMES = {
    "single-stream": "SingleStream",
    "multi-stream": "MultiStream",
    "server": "Server",
    "offline": "Offline",
}


def k6_summary(result: Scenario) -> dict[str, Any]:
    """The content of k6's ``--summary-export`` (milliseconds; rates a second).

    A percentile that is not claimable is left out, where k6 would have given one of however few samples.
    """
    duration = {"avg": result.mean_ms, "min": _quantile(result, 0), "med": result.p50_ms, "max": result.max_ms}
    duration |= {"p(90)": result.p90_ms, "p(95)": _p95(result), "p(99)": result.p99_ms}
    answered = result.requests - result.errors
    failed = result.errors / result.requests if result.requests else 0.0
    metrics: dict[str, Any] = {
        "http_req_duration": {name: value for name, value in duration.items() if value is not None},
        "http_reqs": {"count": result.requests, "rate": result.rate_per_s},
        "iterations": {"count": result.requests, "rate": result.rate_per_s},
        # In k6's words: a "pass" of the metric http_req_failed is a request that failed.
        "http_req_failed": {"passes": result.errors, "fails": answered, "value": failed},
        "data_received": {"count": result.received_bytes or 0, "rate": _per_s(result.received_bytes, result)},
        "vus_max": {"value": result.concurrency, "min": result.concurrency, "max": result.concurrency},
    }
    if result.match_share is not None:
        right = round(result.match_share * result.answers_checked)
        wrong = result.answers_checked - right
        metrics["checks"] = {"passes": right, "fails": wrong, "value": result.match_share}
    return {"metrics": metrics, "root_group": {"name": "", "path": "", "id": "", "groups": {}, "checks": {}}}


def mlperf_summary(result: Scenario, settings: dict[str, Any]) -> str:
    """The text of LoadGen's ``mlperf_log_summary.txt``; latencies in nanoseconds."""
    head = {
        "SUT name": "slipway loadtest",
        "Scenario": MLPERF_NAMES[result.name],
        "Mode": "PerformanceOnly",
        **_headline(result),
        "Result is": "VALID" if result.valid else "INVALID",
    }
    enough = result.p99_ms is not None
    lines = [_BAR, "MLPerf Results Summary", _BAR, *(f"{name} : {value}" for name, value in head.items())]
    lines += [
        f"  Performance constraints satisfied : {_yes(result.valid)}",
        f"  Min duration satisfied : {_yes(result.duration_s >= settings.get('min_duration_s', 0.0) - 1e-6)}",
        f"  Min queries satisfied : {_yes(result.requests >= settings.get('min_requests', 0))}",
        f"  Early stopping satisfied: {_yes(enough)}",
    ]
    if result.invalid_because:
        lines += ["Recommendations:", f" * {result.invalid_because}"]
    stats: list[tuple[str, float | None]] = [
        ("Completed samples per second", result.samples_per_s),
        ("Min latency (ns)", _ns(_quantile(result, 0))),
        ("Max latency (ns)", _ns(result.max_ms)),
        ("Mean latency (ns)", _ns(result.mean_ms)),
    ]
    stats += [(f"{percent:.2f} percentile latency (ns)", _ns(_quantile(result, percent))) for percent in _PERCENTS]
    stats.append(("99.90 percentile latency (ns)", _ns(dict(result.tail).get(1000.0))))
    lines += ["", _BAR, "Additional Stats", _BAR]
    lines += [f"{name:<32}: {value}" for name, value in stats if value is not None]
    lines += ["", _BAR, "Test Parameters Used", _BAR, *(f"{name} : {value}" for name, value in settings.items())]
    lines += ["", f"{result.errors or 'No'} errors encountered during test.", ""]
    return "\n".join(lines)


_BAR = "=" * 48
_PERCENTS = (50, 90, 95, 97, 99)


def _headline(result: Scenario) -> dict[str, Any]:
    """The figure that MLPerf ranks a scenario by."""
    match result.name:
        case "server":
            return {"Scheduled samples per second": round((result.offered_per_s or 0.0) * result.batch, 2)}
        case "offline":
            return {"Samples per second": round(result.samples_per_s, 3)}
        case "single-stream":
            return {"90.0th percentile latency (ns)": _ns(result.p90_ms)}
        case _:
            return {"99.0th percentile latency (ns)": _ns(result.p99_ms)}


def _quantile(result: Scenario, percent: int) -> float | None:
    return result.quantiles_ms[percent] if result.quantiles_ms else None


def _p95(result: Scenario) -> float | None:
    """90 answers support it (:func:`pipelines.loadtest.statistics.needed`)."""
    return _quantile(result, 95) if result.requests - result.errors >= 90 else None


def _ns(ms: float | None) -> int | None:
    return None if ms is None else round(ms * 1e6)


def _per_s(count: int | None, result: Scenario) -> float:
    return (count or 0) / result.duration_s if result.duration_s else 0.0


def _yes(what: bool) -> str:
    return "Yes" if what else "NO"

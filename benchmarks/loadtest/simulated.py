"""Checks results against mathematics: intervals in a simulated queue, and the rate that a search should find.

A part of run.py.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.loadtest.plan.schedule import NS_PER_S, poisson_arrivals
from pipelines.loadtest.standalone.queueing import queue_p99_s, sojourn_s
from pipelines.loadtest.statistics.intervals import Interval, percentile_interval
from pipelines.loadtest.statistics.percentiles import rank_of
from pipelines.loadtest.truth.start import ground_truth

UTILISATION = 0.8
SERVICE_S, TARGET_S = 0.002, 0.020
SIMULATED_S = 2_000.0
WARM_UP = 500
SEARCH_S = 60.0


def coverage(trials: int) -> list[dict[str, Any]]:
    """Measures how often the interval of p99 contains the truth, for queues with one worker at utilisation 0.8."""
    found = []
    for queue in ("M/M/1", "M/D/1"):
        truth = math.log(100) / (1 - UTILISATION) if queue == "M/M/1" else queue_p99_s(UTILISATION)
        for count in (2_000, 10_000):
            draw = np.random.default_rng(count)
            held = 0
            for _ in range(trials):
                interval = percentile_interval([_queue(queue, count, draw) for _ in range(5)], 990)
                held += isinstance(interval, Interval) and interval.low <= truth <= interval.high
            found.append(
                {"queue": queue, "answers_a_run": count, "runs": 5, "trials": trials, "coverage": held / trials}
            )
    return found


def _queue(queue: str, count: int, draw: np.random.Generator) -> np.ndarray:
    """Returns the sorted sojourns of one run, without its first answers."""
    arrivals = np.cumsum(draw.exponential(1 / UTILISATION, count + WARM_UP))
    services = draw.exponential(1, count + WARM_UP) if queue == "M/M/1" else 1.0
    return np.sort(sojourn_s(arrivals, services)[WARM_UP:])


def true_rate() -> float:
    """Returns the highest rate at which p99 of the simulated serial server is at most the target."""
    low, high = 0.5 / SERVICE_S, 0.98 / SERVICE_S
    for _ in range(12):
        rate = (low + high) / 2
        tails = []
        for seed in range(3):
            times = np.sort(sojourn_s(poisson_arrivals(rate, SIMULATED_S, seed) / NS_PER_S, SERVICE_S))
            tails.append(float(times[rank_of(990, len(times))]))
        low, high = (rate, high) if statistics.mean(tails) <= TARGET_S else (low, rate)
    return low


def searches(times: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs ``--find-rate`` against the serial server of 2 ms, with another seed each time."""
    truth = true_rate()
    found = []
    for seed in range(times):
        with ground_truth("http") as server:
            say(f"search {seed + 1} of {times}: the truth is {truth:.1f}/s")
            words = [f"{server.url}/serial/{SERVICE_S * 1e3:g}", "--find-rate"]
            words += ["--p99-target-ms", f"{TARGET_S * 1e3:g}", "--budget", f"{SEARCH_S:g}", "--seed", str(seed)]
            command = [sys.executable, "-m", "pipelines", "loadtest-url", *words, "--json"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SEARCH_S + 120)
        if not done.stdout.strip():
            found.append({"rate_per_s": None, "seconds": None, "note": done.stderr.strip()[-300:]})
            continue
        facts = json.loads(done.stdout)
        found.append({name: facts[name] for name in ("rate_per_s", "seconds", "note")} | {"confirmed": facts["valid"]})
        say(f"  {found[-1]}")
    return {"truth_per_s": truth, "target_ms": TARGET_S * 1e3, "found": found}


def large() -> dict[str, Any]:
    """Computes percentiles of ten million samples; returns seconds and megabytes."""
    command = [sys.executable, str(Path(__file__).with_name("large.py"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return dict(json.loads(done.stdout))

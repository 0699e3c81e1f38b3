"""Compares what load tools report of one stall with the truth: a part of run.py.

A ground-truth server answers after 5 ms and stalls once for 500 ms. Each tool offers 50, 200 and 1,000 requests a
second, over HTTP and gRPC; its p50, p99, largest and mean latency stand beside what a user would have seen.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from tools import ABSENT, TOOLS, Figures, Job, NotValidError, missing

from pipelines.loadtest.plan.schedule import uniform_arrivals
from pipelines.loadtest.statistics.percentiles import percentiles
from pipelines.loadtest.truth.behaviour import true_latencies_ms
from pipelines.loadtest.truth.clock import read_lateness
from pipelines.loadtest.truth.start import ground_truth
from serving.clients.transport import send

RATES = (50, 200, 1000)
STALL = "/stall/4000/500/5"
PHASES = 20
OWN = "slipway"
NAMES = ("p50_ms", "p99_ms", "max_ms", "mean_ms")
WITHIN = 0.02
ATTEMPTS = 3
MAX_SERVER_LATE_MS = 10.0
"""If the server itself is later than this, something else had the processors, and the truth does not hold: measured
again. The backlog of a stall leaves within 4 to 8 ms."""


def truth(kind: str, rate: int, seconds: int) -> dict[str, Any]:
    """Returns the range of each figure, which depends on where the stall falls between two requests."""
    seen: dict[str, list[float]] = {name: [] for name in NAMES}
    for phase in range(PHASES):
        after_ms = 4_000 + 1_000 / rate * phase / PHASES
        found = percentiles(true_latencies_ms(uniform_arrivals(rate, seconds), f"/stall/{after_ms}/500/5"))
        figures = (found.quantiles[50], found.quantiles[99], found.largest or 0.0, found.mean or 0.0)
        for name, value in zip(seen, figures, strict=True):
            seen[name].append(value)
    return {"tool": "truth", "kind": kind, "rate": rate, **{name: [min(of), max(of)] for name, of in seen.items()}}


def measured(tool: str, kind: str, rate: int, seconds: int, python: str) -> dict[str, Any]:
    """Measures one row; a tool that is missing or fails gets a reason."""
    row: dict[str, Any] = {"tool": tool, "kind": kind, "rate": rate}
    if (reason := missing(tool, python)) is not None:
        return {**row, "reason": reason}
    for _ in range(ATTEMPTS):
        with ground_truth(kind) as server, tempfile.TemporaryDirectory() as folder:
            job = Job(server.url + STALL, rate, seconds, Path(folder), python)
            try:
                figures = TOOLS[kind][tool](job)
            except NotValidError as error:  # the tool says that the machine was too busy: measured again
                found = {**row, "reason": str(error)}
                continue
            except (RuntimeError, OSError, ValueError, KeyError, IndexError, subprocess.TimeoutExpired) as error:
                return {**row, "reason": " ".join(str(error).split())[:300]}
            late = read_lateness(send(server.call("/late"), b""))
        found = {**row, **asdict(figures), "server_late_ms": late.max_ms, "server_late_mean_ms": late.mean_ms}
        if late.max_ms <= MAX_SERVER_LATE_MS:
            break
    return found


def rows(
    tools: list[str], seconds: int, runs: int, python: str, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Yields the truth of each protocol and rate, and a row per tool; slipway's is the median of ``runs`` runs."""
    for kind, of_kind in TOOLS.items():
        chosen = [name for name in of_kind if name in tools]
        for rate in RATES:
            yield truth(kind, rate, seconds)
            found: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
            for tool in _turns(chosen, runs):
                say(f"{kind} at {rate}/s: {tool}")
                found[tool].append(measured(tool, kind, rate, seconds, python))
            yield from (_median(of_tool) for of_tool in found.values())
            if len(chosen) == len(of_kind):
                for name, why in ABSENT.get(kind, {}).items():
                    yield {"tool": name, "kind": kind, "rate": rate, "reason": why}


def _turns(chosen: list[str], runs: int) -> list[str]:
    """Returns the order of measuring: slipway's runs are spread evenly between the others."""
    others = [name for name in chosen if name != OWN]
    if len(others) == len(chosen):
        return others
    cuts = [len(others) * run // runs for run in range(runs + 1)]
    return [name for low, high in pairwise(cuts) for name in (OWN, *others[low:high])]


def _median(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Makes one row of several runs. One failed run is the row: a result must be repeatable."""
    failed = next((row for row in found if "reason" in row), None)
    if failed is not None or len(found) == 1:
        return failed or found[0]
    names = [one.name for one in fields(Figures)] + ["server_late_ms", "server_late_mean_ms"]
    return {**found[0], **{name: statistics.median(row[name] for row in found) for name in names}, "runs": found}


def farthest(row: dict[str, Any], true: dict[str, Any]) -> float:
    """Returns the largest distance of a row's four figures from their truths, as a share.

    The lateness of the server's answers, by its own clock, is part of the truth of the mean.
    """
    away = 0.0
    for name in NAMES:
        late_ms = row["server_late_mean_ms"] if name == "mean_ms" else 0.0
        low, high = (value + late_ms for value in true[name])
        away = max(away, 1 - row[name] / low, row[name] / high - 1)
    return away

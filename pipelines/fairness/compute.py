"""Checks that a runtime kept to the compute threads that it was given. Pure.

The proof is CPU time. While r requests are in flight, and each may compute on n threads, a server's processes cannot
use more than r x n cores, plus some work beside computing: a single client waits for its answer, so transport and
computing take turns and share one core. A pool with more threads, or threads that spin while they wait, uses more,
if processors are free for them (:func:`visible`). The smaller a model, the smaller the share of computing in a
request, and the less a second thread shows: so each protocol is also probed with the rows of an ``offline`` request,
one request at a time. A runtime that stays below the limit even then is not much faster for its extra threads. In
process, one caller does nothing but predict: there the sum is exact, and the same library computes behind the server.
In a browser there is one caller, too.

The number of threads is shown and not judged: it proves nothing, since a Java runtime has thirty that sleep.
"""

from __future__ import annotations

from pipelines.results import SERVED, Row, Scenario

OVERLAP = 0.15
"""Cores for work beside computing: an answer that is still being written when the next request arrives, logs.

Measured with the machine left to the server, one request at a time: with one thread, no server used more than 0.96
cores; with two threads, 0.95 to 1.23 with one row a request, and 1.23 to 1.52 with the probe's 16 rows.
"""


ROOM = 0.25
"""Cores beyond the limit that must have been free: with less room, a second thread cannot run enough to show."""


def most_cores(scenario: Scenario, threads: int, in_process: bool) -> float | None:
    """Return the most cores a load test may use; None in ``server``, where any number of requests may be in flight."""
    if in_process:
        return threads + OVERLAP  # one caller, in every scenario
    if not scenario.load.closed_loop:
        return None
    return scenario.load.concurrency * threads + OVERLAP


def _loads(row: Row) -> tuple[Scenario, ...]:
    return (*row.scenarios, row.threads_probe) if row.threads_probe else row.scenarios


def answering_cores(scenario: Scenario) -> float | None:
    """Return the cores that may have answered requests: all but a Java runtime's compiler and collector."""
    if scenario.server.cores is None:
        return None
    return scenario.server.cores - (scenario.server.service_cores or 0.0)


def _limit_and_room(scenario: Scenario, threads: int, in_process: bool) -> tuple[float, float] | None:
    """Return the limit and the cores that others left free; None if there is no limit or others' share is unknown."""
    limit, server = most_cores(scenario, threads, in_process), scenario.server
    if limit is None or server.cores is None or server.foreign_cpu_share is None:
        return None
    room = len(server.cpus) * (1 - server.foreign_cpu_share - (scenario.generator.steal_share or 0.0))
    return limit, room - (server.service_cores or 0.0)


def visible(row: Row, threads: int) -> bool:
    """Tell whether extra threads would have shown in at least one load test: processors were free for them."""
    found = [_limit_and_room(one, threads, row.where != SERVED) for one in _loads(row)]
    return any(one is not None and one[1] >= one[0] + ROOM for one in found)


def breaches(row: Row, threads: int) -> tuple[str, ...]:
    """List the load tests of a row in which more than ``threads`` threads a request computed."""
    found = []
    for scenario in _loads(row):
        limit = most_cores(scenario, threads, row.where != SERVED)
        used = answering_cores(scenario)
        if limit is not None and used is not None and used > limit:
            at_once = 1 if row.where != SERVED else scenario.load.concurrency
            name = "probe" if scenario is row.threads_probe else scenario.name
            found.append(
                f"{name}: {used:.2f} cores busy with {at_once} request{'s' if at_once > 1 else ''} at a time, "
                f"told {threads} compute thread{'s' if threads > 1 else ''} (limit {limit:.2f})"
            )
    return tuple(found)

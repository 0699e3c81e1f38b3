"""Whether a runtime kept to the compute threads that it was given. Pure.

The proof is CPU time. While r requests are unanswered, of which each may compute on n threads, a server's processes
cannot use more than r x n cores, and what runs beside computing: a single client waits for its answer, so
transport and computing take turns and share one core. A pool that has more threads, or threads that spin while
they wait, shows as more, where processors are free for them (:func:`visible`). The smaller a model, the less of a
request is computing, and the less a second thread shows: so each protocol is also probed with 16 rows a request,
one request at a time. What stays below the limit even then is not much the faster for it. In process one caller
does nothing but predict: there the sum is exact, and the same library computes behind the server.

A number of threads proves nothing, since a Java runtime has thirty that sleep: it is shown and not judged.
"""

from __future__ import annotations

from pipelines.results import IN_PROCESS, Row, Scenario

OVERLAP = 0.15
"""Cores for what runs beside computing: an answer that is still being written while the next request is here, logs.

Measured, the machine left to the server: told one thread, no server used more than 0.96 cores, one request at a
time; told two, 0.95 to 1.23 with one row a request, and 1.23 to 1.52 with the 16 of the probe.
"""


ROOM = 0.25
"""Cores beyond the limit that must have been free: where others leave less, a second thread cannot run enough."""


def most_cores(scenario: Scenario, threads: int, in_process: bool) -> float | None:
    """Cores that a load test may use at most; None in ``server``, where any number of requests may be unanswered."""
    if in_process:
        return threads + OVERLAP  # one caller, whatever the scenario
    if not scenario.load.closed_loop:
        return None
    return scenario.load.concurrency * threads + OVERLAP


def _loads(row: Row) -> tuple[Scenario, ...]:
    return (*row.scenarios, row.threads_probe) if row.threads_probe else row.scenarios


def answering_cores(scenario: Scenario) -> float | None:
    """Cores that may have answered requests: all but a Java runtime's compiler and collector."""
    if scenario.server.cores is None:
        return None
    return scenario.server.cores - (scenario.server.service_cores or 0.0)


def _limit_and_room(scenario: Scenario, threads: int, in_process: bool) -> tuple[float, float] | None:
    """The limit, and the cores that others left; None where nothing is judged, or others' share is not known."""
    limit, server = most_cores(scenario, threads, in_process), scenario.server
    if limit is None or server.cores is None or server.foreign_cpu_share is None:
        return None
    room = len(server.cpus) * (1 - server.foreign_cpu_share - (scenario.generator.steal_share or 0.0))
    return limit, room - (server.service_cores or 0.0)


def visible(row: Row, threads: int) -> bool:
    """Whether more threads than ``threads`` would have shown in at least one load test: there was room for them."""
    found = [_limit_and_room(one, threads, row.protocol == IN_PROCESS) for one in _loads(row)]
    return any(one is not None and one[1] >= one[0] + ROOM for one in found)


def breaches(row: Row, threads: int) -> tuple[str, ...]:
    """Every load test of a row in which more than ``threads`` a request computed; empty if there is none."""
    found = []
    for scenario in _loads(row):
        limit = most_cores(scenario, threads, row.protocol == IN_PROCESS)
        used = answering_cores(scenario)
        if limit is not None and used is not None and used > limit:
            at_once = 1 if row.protocol == IN_PROCESS else scenario.load.concurrency
            name = "probe" if scenario is row.threads_probe else scenario.name
            found.append(
                f"{name}: {used:.2f} cores busy with {at_once} request{'s' if at_once > 1 else ''} at a time, "
                f"told {threads} compute thread{'s' if threads > 1 else ''} (limit {limit:.2f})"
            )
    return tuple(found)

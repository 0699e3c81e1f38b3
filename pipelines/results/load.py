"""Describes what one load test of a row found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pipelines.results.words import Doc, Percentile


@dataclass(frozen=True, slots=True)
class Moment:
    """A slice of a load test: the requests that were due in the ``width_s`` from ``from_s`` on (the start is 0)."""

    from_s: Annotated[float, Doc("Begin of the slice, seconds from the start of the measured part.")]
    width_s: Annotated[float, Doc("Length of the slice, seconds.")]
    requests: Annotated[int, Doc("Requests that were due in it.")]
    errors: Annotated[int, Doc("Of these, those that failed.")]
    p50_ms: Annotated[float | None, Doc("Median latency of those that were answered, milliseconds.")]
    p99_ms: Annotated[float | None, Doc("99th percentile of their latency, however few they are, milliseconds.")]
    max_ms: Annotated[float | None, Doc("Their largest latency, milliseconds.")]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One rate of a latency-throughput curve; ``held`` says whether p99 was within the target, where there is one."""

    offered_per_s: Annotated[float, Doc("Requests that were scheduled, per second.")]
    rate_per_s: Annotated[float, Doc("Requests that were answered, per second.")]
    p50_ms: Annotated[float | None, Doc("Median latency at this rate, milliseconds.")]
    p99_ms: Annotated[
        float | None, Doc("99th percentile of latency at this rate, milliseconds; null if not claimable.")
    ]
    held: Annotated[bool | None, Doc("Whether p99 was within the target; null without one.")] = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Describes how far a figure scattered over the rounds of a run, in the figure's own unit.

    ``low`` to ``high`` are the extremes; from five rounds on an interval that holds the median with a
    probability of ``coverage`` or more (null: the extremes). ``values`` has one value a round.
    """

    figure: Annotated[str, Doc("The field whose spread it is; of a load test with its part, as in latency.p50_ms.")]
    low: Annotated[float, Doc("The least of the rounds, or the low end of the interval.")]
    high: Annotated[float, Doc("The largest of the rounds, or the high end of the interval.")]
    coverage: Annotated[
        float | None, Doc("Probability (0 to 1) that the interval holds the median; null if these are the extremes.")
    ]
    values: Annotated[tuple[float, ...], Doc("The figure of each round.")]


class Cause(StrEnum):
    """The party that made a load test invalid."""

    MACHINE = "machine"
    """The machine, or the load generator on it: the figures say nothing about the server."""
    SERVER = "server"
    TEST = "test"
    """The test itself: too short, or without requests."""
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Unclaimable:
    """A percentile that the number of samples cannot support."""

    percentile: Annotated[Percentile, Doc("Name of the percentile.")]
    samples: Annotated[int, Doc("Latencies that were measured; in multi-stream, of whole queries.")]
    needed: Annotated[int, Doc("The smallest number of latencies that supports the percentile.")]


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """The load that was offered to a server, and its answers."""

    duration_s: Annotated[float, Doc("Measured time after the warm-up, seconds.")]
    batch: Annotated[int, Doc("Rows in one request.")]
    concurrency: Annotated[
        int, Doc("Requests on their way at once: as set in a closed loop, the most that there were in server.")
    ]
    offered_per_s: Annotated[
        float | None, Doc("Requests that were scheduled, per second; null where a request waits for an answer.")
    ]
    rate_per_s: Annotated[float, Doc("Requests that were answered, per second.")]
    samples_per_s: Annotated[float, Doc("Rows that were answered, per second.")]
    requests: Annotated[int, Doc("Requests in the measured time.")]
    errors: Annotated[int, Doc("Requests that failed or brought no answer.")]
    error_examples: Annotated[tuple[str, ...], Doc("Some of the errors, as received.")] = ()
    warmup_requests: Annotated[
        int, Doc("Requests before the measured part; they are in no other figure but server CPU time.")
    ] = 0
    closed_loop: Annotated[
        bool, Doc("Whether a request waited for an answer: then stalls hide, and tails are too small.")
    ] = False
    arrivals: Annotated[
        str | None, Doc("How the schedule spread requests: poisson, uniform or trace; null without a schedule.")
    ] = None
    request_bytes: Annotated[float | None, Doc("Mean size of the requests' bodies, bytes; null in process.")] = None
    received_bytes: Annotated[int | None, Doc("Bytes of all answers' bodies.")] = None
    distinct_inputs: Annotated[
        int | None, Doc("Different request bodies; with one, a server's cache may have answered.")
    ] = None


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """Latencies, from the *scheduled* start of a request; in ``multi-stream``, of a whole query of requests."""

    mean_ms: Annotated[float | None, Doc("Mean latency from the scheduled start, milliseconds.")]
    p50_ms: Annotated[
        float | None, Doc("Median latency from the scheduled start, milliseconds; null if there are too few samples.")
    ]
    p90_ms: Annotated[float | None, Doc("90th percentile of latency, milliseconds; null if there are too few samples.")]
    p99_ms: Annotated[float | None, Doc("99th percentile of latency, milliseconds; null if there are too few samples.")]
    max_ms: Annotated[float | None, Doc("Largest latency, milliseconds.")]
    unclaimable: Annotated[
        tuple[Unclaimable, ...], Doc("Percentiles that the number of samples cannot support, and why.")
    ] = ()
    quantiles_ms: Annotated[tuple[float, ...], Doc("Latencies at 0, 1, ... 100 %, milliseconds; for plots only.")] = ()
    tail: Annotated[
        tuple[tuple[float, float], ...],
        Doc("Pairs of 1/(1-p) and the latency at p, milliseconds, as far as the count goes; for plots."),
    ] = ()
    timeline: Annotated[tuple[Moment, ...], Doc("The test in slices of time.")] = ()
    first_byte_p50_ms: Annotated[
        float | None, Doc("Median time from the scheduled start to the answer's first byte; null if not seen.")
    ] = None
    steady_from_s: Annotated[
        float | None,
        Doc("When the latencies had settled (MSER-5 and a margin), seconds; null if they had not."),
    ] = None


@dataclass(frozen=True, slots=True)
class GeneratorFigures:
    """The load generator at work, and the machine under it."""

    send_lag_p50_us: Annotated[
        float | None, Doc("Median delay of the generator itself between schedule and sending, microseconds.")
    ] = None
    send_lag_p99_us: Annotated[
        float | None, Doc("99th percentile of the delay between schedule and sending, microseconds.")
    ] = None
    send_lag_max_us: Annotated[float | None, Doc("Largest delay between schedule and sending, microseconds.")] = None
    cpu_us_per_request: Annotated[
        float | None, Doc("CPU time of the load generator for one request, microseconds.")
    ] = None
    cpu_share: Annotated[
        float | None, Doc("CPU time of the load generator over the elapsed time, in cores; null in process.")
    ] = None
    cpus: Annotated[tuple[int, ...], Doc("Processors that the load generator might use; empty in process.")] = ()
    priority: Annotated[str | None, Doc("Scheduling of the load generator: fifo 1 is real-time; null in process.")] = (
        None
    )
    governor: Annotated[str | None, Doc("The processors' frequency governors; null where the system shows none.")] = (
        None
    )
    steal_share: Annotated[
        float | None, Doc("Share (0 to 1) of the processors' time that the hypervisor gave to others.")
    ] = None
    cut_share: Annotated[
        float, Doc("Share (0 to 1) of the measured time that is in no latency figure, since time was stolen in it.")
    ] = 0.0


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """The processes that answered: the server's, or in process the one that predicts; and what ran beside them."""

    cpu_ms_per_request: Annotated[
        float | None, Doc("CPU time of the server, or of the worker in process, for one request, ms.")
    ] = None
    proxy_cpu_ms_per_request: Annotated[
        float | None, Doc("CPU time of the proxy of a container's ports for one request, milliseconds.")
    ] = None
    cores: Annotated[
        float | None, Doc("CPU seconds a second of the server's processes, in process of the one that predicts.")
    ] = None
    service_cores: Annotated[
        float | None, Doc("Of these, what a Java runtime's compiler and collector took; null if not seen.")
    ] = None
    threads: Annotated[int | None, Doc("Threads of these processes at the end of the test.")] = None
    busy_threads: Annotated[
        int | None, Doc("Threads that took a tenth of the CPU time or more, a Java runtime's own left out.")
    ] = None
    cpus: Annotated[tuple[int, ...], Doc("Processors that these processes might use.")] = ()
    foreign_cpu_share: Annotated[
        float | None, Doc("Share (0 to 1) of all processors' time that processes outside the run took.")
    ] = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load test of one row: what judges it, and its figures in four parts.

    Where a run has several ``rounds``, figures are medians over the valid ones, counts are sums, and pictures are the
    middle round's. A closed loop does not show what a stall does to users: it is no basis for a tail target.
    """

    name: Annotated[
        Literal["single-stream", "multi-stream", "offline", "server"],
        Doc("How load was offered; MLPerf's names. server: Poisson arrivals."),
    ]
    valid: Annotated[bool, Doc("Whether the load generator did what it promised, so that the figures may be used.")]
    invalid_because: Annotated[str | None, Doc("Why the load test is not valid; null if it is.")]
    load: Annotated[LoadFigures, Doc("What was offered, and what was answered.")]
    latency: Annotated[LatencyFigures, Doc("How long answers took.")]
    generator: Annotated[GeneratorFigures, Doc("How the load generator and its machine did.")]
    server: Annotated[ServerFigures, Doc("What the server's processes did, in process the one that predicts.")]
    answers_checked: Annotated[int, Doc("Answers compared with the in-process ones.")] = 0
    match_share: Annotated[
        float | None, Doc("Share (0 to 1) of checked answers that equal the in-process ones; null if none was.")
    ] = None
    invalid_causes: Annotated[
        tuple[Cause, ...], Doc("Who made the load test invalid, in the order of the reasons; empty if it is valid.")
    ] = ()
    partial: Annotated[
        bool, Doc("Whether the test was interrupted; the figures are of what had been measured until then.")
    ] = False
    curve: Annotated[
        tuple[CurvePoint, ...], Doc("Latency at several rates, lowest first; empty if only one was measured.")
    ] = ()
    rounds: Annotated[int, Doc("Valid rounds that the figures are medians of.")] = 1
    spreads: Annotated[tuple[Spread, ...], Doc("How far the figures scattered over the rounds; empty for one.")] = ()

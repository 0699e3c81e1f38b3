"""Everything that one run learns, as plain data: the content of ``report.json``.

Units are in the names (``_s`` seconds, ``_ms`` milliseconds, ``_bytes``). A value that was not
measured is null, never zero. ``SCHEMA_VERSION`` changes when a field changes its meaning or goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

SCHEMA_VERSION = 5
"""Version 2: the figures of a load test are in its parts ``load``, ``latency``, ``generator`` and ``server``, without
the prefixes ``client_`` and ``server_`` (``server_cores`` is ``server.cores``); ``unclaimable`` has numbers in place of
sentences; spreads name a figure with its part; ``invalid_causes`` is new. Version 3: certificates are judged by
``sqnr_db``; their ``atol`` may be null. Version 4: rows have ``where``, and a ``protocol`` only if they are served;
``top1`` is null for models without classes; ``min_cosine`` and ``task`` are new. Version 5: ``where`` may be
``in-browser``; such rows have ``download_bytes``, ``load_s`` and ``page_memory_bytes``."""
IN_PROCESS: Literal["in-process"] = "in-process"
IN_BROWSER: Literal["in-browser"] = "in-browser"
SERVED: Literal["served"] = "served"

Status = Literal["ok", "failed", "skipped"]
Where = Literal["in-process", "in-browser", "served"]
UNSERVED: dict[str, Where] = {IN_PROCESS: IN_PROCESS, IN_BROWSER: IN_BROWSER}
"""Where rows without a protocol are measured."""
JudgedBy = Literal["top-1", "cosine", "differences"]
Measurement = Literal["sound", "disturbed", "missing"]
Certainty = Literal["sure", "provisional", "tie", "none"]
Via = Literal["published port", "container address"]
Percentile = Literal["p50", "p90", "p99"]


@dataclass(frozen=True, slots=True)
class Doc:
    """Describes a field in the JSON Schema, without pydantic: a worker reads no schema, and starts sooner."""

    text: str


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


@dataclass(frozen=True, slots=True)
class StageUsage:
    """The operating system's accounting of the process that did a stage."""

    wall_s: Annotated[float, Doc("Elapsed time, seconds.")]
    cpu_s: Annotated[float, Doc("User and system CPU time, seconds.")]
    peak_rss_bytes: Annotated[int, Doc("Largest resident memory, bytes.")]


@dataclass(frozen=True, slots=True)
class FileEntry:
    path: Annotated[str, Doc("File, relative to the artifact's folder.")]
    bytes: Annotated[int, Doc("Size, bytes.")]
    sha256: Annotated[str, Doc("SHA-256 of the content, hexadecimal.")]


@dataclass(frozen=True, slots=True)
class Flip:
    """A row whose largest output changed; ``margin`` is the reference's lead of its first class over its second."""

    set: Annotated[str, Doc("Set of inputs that the row belongs to.")]
    row: Annotated[int, Doc("Row within the set, from 0.")]
    reference: Annotated[int, Doc("Class with the reference's largest output.")]
    received: Annotated[int, Doc("Class with the artifact's largest output.")]
    margin: Annotated[
        float, Doc("The reference's lead of its first class over its second, in units of the output (logits).")
    ]


@dataclass(frozen=True, slots=True)
class Parity:
    """An artifact's outputs against the reference's, over one set of inputs at one batch size."""

    set: Annotated[
        Literal["evaluation", "random"], Doc("Inputs that were compared: of the evaluation set, or seeded random ones.")
    ]
    batch: Annotated[int, Doc("Rows in one call.")]
    rows: Annotated[int, Doc("Rows compared.")]
    max_abs: Annotated[float, Doc("Largest absolute difference of any output value.")]
    p999_abs: Annotated[float, Doc("The absolute difference below which 99.9 % of the output values are.")]
    max_rel: Annotated[float, Doc("Largest relative difference of any output value.")]
    sqnr_db: Annotated[
        float | None,
        Doc("Ratio of the reference's outputs to the differences, of the sums of squares, dB; null if none differs."),
    ]
    cosine: Annotated[float, Doc("Cosine similarity of the outputs, smallest over the rows.")]
    top1: Annotated[
        float | None, Doc("Share (0 to 1) of rows whose class is the reference's; null where outputs are no classes.")
    ]


@dataclass(frozen=True, slots=True)
class Certificate:
    """The parity verdict of one artifact, bound to its bytes by ``artifact_sha256``.

    ``basis_sha256`` covers what it was compared with, by which code and within which tolerance;
    ``answers_sha256`` the artifact's own answers, with which answers over the wire are compared.
    ``max_abs`` and ``cosine`` are the worst of the checks that the tolerance judges.
    """

    artifact_sha256: Annotated[str, Doc("Hash of the artifact's manifest of files: what the verdict is bound to.")]
    basis_sha256: Annotated[str, Doc("Hash of what the artifact was compared with, and by which code.")]
    answers_sha256: Annotated[
        str, Doc("Hash of the artifact's own answers, with which those over the wire are compared.")
    ]
    reference: Annotated[str, Doc("What the artifact was compared with.")]
    min_sqnr_db: Annotated[float | None, Doc("Smallest sqnr_db that passes; null if it is not limited.")]
    atol: Annotated[float | None, Doc("Largest absolute difference that passes; null if it is not limited.")]
    min_top1: Annotated[
        float | None,
        Doc("Smallest share (0 to 1) of rows that must keep their class; null where there are no classes."),
    ]
    min_cosine: Annotated[
        float | None,
        Doc("Smallest cosine of a row and the reference's that passes; null where outputs are no vectors."),
    ]
    tolerance_source: Annotated[Literal["variant", "user"], Doc("Who set the tolerances: the variant, or the user.")]
    passed: Annotated[bool, Doc("The verdict.")]
    breaches: Annotated[tuple[str, ...], Doc("Every tolerance that was broken; empty if the artifact passed.")]
    sqnr_db: Annotated[
        float | None,
        Doc(
            "The ratio over all checks of a set, the smaller of the sets that are judged, dB; null if nothing differs."
        ),
    ]
    max_abs: Annotated[float, Doc("Largest absolute difference of the checks that the tolerance judges.")]
    p999_abs: Annotated[float, Doc("Largest p999_abs of the checks that the tolerance judges.")]
    cosine: Annotated[float, Doc("Smallest cosine similarity of the checks that the tolerance judges.")]
    top1: Annotated[
        float | None,
        Doc("Share (0 to 1) of rows, of evaluation data if there is any, whose class is the reference's; or null."),
    ]
    accuracy: Annotated[
        float | None,
        Doc(
            "Share (0 to 1) of right answers to the evaluation set: the label's class, or a nearest other row with "
            "the same label, for vectors; null without labels."
        ),
    ]
    reference_accuracy: Annotated[float | None, Doc("The same share of the reference; null without labels.")]
    checks: Annotated[tuple[Parity, ...], Doc("The comparisons, one a set and batch size.")]
    flips: Annotated[tuple[Flip, ...], Doc("Rows whose largest output changed.")]


@dataclass(frozen=True, slots=True)
class Holds:
    """The contents of an artifact, read out of its files: not what it was asked to be, but what it is.

    Names are sorted, so that equal artifacts hold equal things. Inputs, outputs and constants that a format writes as
    operations are not counted as such.
    """

    weights: Annotated[
        Mapping[str, int], Doc("Bytes of weights and other constants, by the type of their elements in numpy's words.")
    ]
    operators: Annotated[Mapping[str, int], Doc("Number of operations, by their name in the format.")]
    custom: Annotated[
        tuple[str, ...],
        Doc("Operators that the format itself has not: custom ones, TensorFlow's in LiteRT (Flex), another domain's."),
    ] = ()
    delegated: Annotated[
        float | None,
        Doc("Share (0 to 1) of operations that the file hands to a delegate; null for a format without delegates."),
    ] = None
    facts: Annotated[
        Mapping[str, str], Doc("What else the format tells, such as the opset, the precision or the processor.")
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """One variant of one path: packaged and verified."""

    path: Annotated[str, Doc("Name of the path.")]
    variant: Annotated[str, Doc("Name of the variant.")]
    framework: Annotated[str, Doc("Framework whose form of the model the variant is made from.")]
    summary: Annotated[str, Doc("What the variant is.")]
    status: Annotated[Status, Doc("ok, failed or skipped.")]
    reason: Annotated[
        str | None, Doc("Why it failed or was skipped, its first line the sentence, the rest a log; null if ok.")
    ]
    lifecycle: Annotated[
        str | None,
        Doc("State of its technology, such as beta or deprecated, since when, with the source; null if maintained."),
    ] = None
    cached: Annotated[bool, Doc("Whether the artifact came from the build cache.")] = False
    folder: Annotated[str | None, Doc("Where the artifact lies.")] = None
    size_bytes: Annotated[int | None, Doc("Size of the payload, bytes.")] = None
    files: Annotated[tuple[FileEntry, ...], Doc("Files of the payload.")] = ()
    holds: Annotated[
        Holds | None, Doc("The contents, read out of the payload; null if there is none, and in older reports.")
    ] = None
    package: Annotated[StageUsage | None, Doc("What packaging cost.")] = None
    verify: Annotated[StageUsage | None, Doc("What verification cost.")] = None
    certificate: Annotated[Certificate | None, Doc("The parity verdict; null if verification was not reached.")] = None


@dataclass(frozen=True, slots=True)
class Row:
    """One variant of one path behind one protocol, in process, or in a browser.

    ``cold_start_s`` runs from the start of the process to its first answer; the protocols of one
    server share the start. In a browser it runs from the page's request to the first answer: ``load_s``, then
    ``first_call_s``, both by the page's clock.
    ``share_of_in_process`` is the ``offline`` throughput over that of the same artifact in process, with the same
    number of threads a prediction: one caller there, several requests outstanding here, so a server that answers
    them side by side can exceed 1.
    ``peak_memory_bytes`` sums the peaks of all processes of the server until then, so that the
    protocol of a server that was measured later includes the one before. ``breaches`` say where more threads computed
    than were allowed, ``threads_seen`` whether that could have been seen; ``threads_probe`` is a short closed loop of
    large requests, one at a time, that is in no other figure. ``rounds`` is how often the row was
    measured; figures are medians over them.
    """

    path: Annotated[str, Doc("Name of the path.")]
    variant: Annotated[str, Doc("Name of the variant.")]
    where: Annotated[
        Where, Doc("in-process: in the worker's own process; in-browser: in a page; served: by its server.")
    ]
    protocol: Annotated[str | None, Doc("Name of the protocol; null unless it is served.")]
    status: Annotated[Status, Doc("ok, failed or skipped.")]
    reason: Annotated[
        str | None, Doc("Why it failed or was skipped, its first line the sentence, the rest a log; null if ok.")
    ]
    server: Annotated[str | None, Doc("The server that answered; null in process.")] = None
    cold_start_s: Annotated[float | None, Doc("From the start of the process to its first answer, seconds.")] = None
    first_call_s: Annotated[
        float | None, Doc("The first call of the loaded model, seconds: a part of the cold start; null if served.")
    ] = None
    peak_memory_bytes: Annotated[
        int | None, Doc("Sum of the peak memory of all processes of the server or browser, bytes.")
    ] = None
    download_bytes: Annotated[
        int | None, Doc("Bodies that a page had received until its first answer, not compressed; null elsewhere.")
    ] = None
    load_s: Annotated[
        float | None, Doc("From a page's request until its model was loaded, seconds; null elsewhere.")
    ] = None
    page_memory_bytes: Annotated[
        int | None,
        Doc("Memory of the page after its load tests, as the browser counts it, bytes; null elsewhere."),
    ] = None
    share_of_in_process: Annotated[
        float | None, Doc("Offline throughput over that of the same artifact in process, same number of threads.")
    ] = None
    answer: Annotated[str | None, Doc("One answer, as a person reads it.")] = None
    scenarios: Annotated[tuple[Scenario, ...], Doc("The load tests of the row.")] = ()
    measurement: Annotated[
        Measurement,
        Doc("What the figures are worth: sound; disturbed by the machine, and not to be compared; missing."),
    ] = "missing"
    measurement_reason: Annotated[str | None, Doc("Why the measurement is disturbed or missing; null if sound.")] = None
    rounds: Annotated[int, Doc("How often the row was measured.")] = 1
    spreads: Annotated[
        tuple[Spread, ...], Doc("How far the row's own figures scattered over the rounds; empty for one.")
    ] = ()
    breaches: Annotated[
        tuple[str, ...], Doc("Load tests in which more threads computed than were allowed; empty if none.")
    ] = ()
    threads_seen: Annotated[bool, Doc("Whether there were processors enough for such a breach to show.")] = False
    threads_probe: Annotated[
        Scenario | None, Doc("One large request at a time, to see how many threads compute; null in process.")
    ] = None

    @classmethod
    def at(cls, path: str, variant: str, way: str, status: Status, reason: str | None, **figures: Any) -> Row:
        """Make a row; ``way`` is the name of a protocol, in-process or in-browser."""
        where = UNSERVED.get(way, SERVED)
        return cls(path, variant, where, way if where == SERVED else None, status, reason, **figures)

    @property
    def way(self) -> str:
        """The protocol's name; where there is none, in-process or in-browser."""
        return self.where if self.protocol is None else self.protocol


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """One protocol of an artifact's server in a container, reached one way.

    ``row`` holds the figures as those of any row, so that they stand beside the row of the bare
    process with the same path, variant and protocol. Its ``cold_start_s`` runs from the request to
    create the container, as ``start_s`` does, which ends when the server can predict; all rows of one
    container share both. ``image_bytes`` is what the image takes on disk, shared layers included.
    """

    via: Annotated[
        Via, Doc("How the container was reached: by a port published on this machine, or at its own address.")
    ]
    row: Annotated[Row, Doc("The figures, as those of the same protocol of the bare process.")]
    image: Annotated[str | None, Doc("The image that the container was started from.")] = None
    image_bytes: Annotated[int | None, Doc("Size of the image, bytes; layers that it shares with others included.")] = (
        None
    )
    start_s: Annotated[
        float | None, Doc("From the request to create the container until it could predict, seconds.")
    ] = None


@dataclass(frozen=True, slots=True)
class LayerCost:
    """The cost a request of one layer between a client and a model, from ``single-stream``: one request at a time.

    Layers lie on one another: in process, a protocol of the bare process, the container's own address,
    the published port. ``added_*`` is against ``below``, the layer beneath; ``over_in_process_*``
    against the model's own call. CPU time that is added is that of server and proxy together. A difference
    can be negative: each side has its noise. ``why_missing`` says why a layer has no figures.
    """

    path: Annotated[str, Doc("Name of the path.")]
    variant: Annotated[str, Doc("Name of the variant.")]
    protocol: Annotated[str, Doc("Name of the protocol, or in-process.")]
    via: Annotated[
        Literal["in-process", "bare process", "container address", "published port"],
        Doc("In process, the bare process, or how a container was reached."),
    ]
    below: Annotated[
        str | None, Doc("The layer beneath, protocol and way: what is added is against it. Null in process.")
    ] = None
    p50_ms: Annotated[float | None, Doc("Median latency of one request after the other, milliseconds.")] = None
    server_cpu_ms: Annotated[
        float | None, Doc("CPU time of the server's processes for one request, or of the call in process, ms.")
    ] = None
    proxy_cpu_ms: Annotated[
        float | None, Doc("CPU time of the proxy of a container's ports for one request, milliseconds.")
    ] = None
    client_cpu_us: Annotated[
        float | None, Doc("CPU time of the load generator for one request, microseconds; null in process.")
    ] = None
    request_bytes: Annotated[float | None, Doc("Mean size of a request's body, bytes; null in process.")] = None
    response_bytes: Annotated[float | None, Doc("Mean size of an answer's body, bytes; null in process.")] = None
    over_in_process_ms: Annotated[float | None, Doc("Median latency less that in process, milliseconds.")] = None
    over_in_process_cpu_ms: Annotated[
        float | None, Doc("CPU time of server and proxy less that in process, milliseconds.")
    ] = None
    added_ms: Annotated[
        float | None, Doc("Median latency less that of the layer below, milliseconds; negative is noise or a saving.")
    ] = None
    added_cpu_ms: Annotated[
        float | None, Doc("CPU time of server and proxy less that of the layer below, milliseconds.")
    ] = None
    why_missing: Annotated[str | None, Doc("Why there are no figures; null if there are.")] = None


@dataclass(frozen=True, slots=True)
class Machine:
    system: Annotated[str, Doc("Operating system.")]
    python: Annotated[str, Doc("Version of Python.")]
    cpu: Annotated[str, Doc("Model of the processor.")]
    cores: Annotated[int, Doc("Processor cores that were usable.")]
    memory_bytes: Annotated[int, Doc("Main memory, bytes.")]
    gpu: Annotated[str | None, Doc("Graphics processor; null if none was used.")] = None


@dataclass(frozen=True, slots=True)
class Training:
    framework: Annotated[str, Doc("Framework that trained the model.")]
    weights_sha256: Annotated[str, Doc("SHA-256 of the weights' file, hexadecimal.")]
    test_accuracy: Annotated[
        float | None, Doc("Accuracy (0 to 1) on the test set after training; null for published weights.")
    ]
    parameters: Annotated[int, Doc("Number of trained values.")]
    wall_s: Annotated[float, Doc("Elapsed time of the training, seconds.")]
    cached: Annotated[bool, Doc("Whether the weights came from the cache.")]
    source: Annotated[str | None, Doc("Distribution that published the weights; null for a model trained here.")] = None

    @property
    def origin(self) -> str:
        """Where the weights are from, in a few words."""
        if self.test_accuracy is None:
            return f"published in {self.source}"
        return f"trained in {self.framework}, test accuracy {self.test_accuracy:.1%}"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The options of a run, chosen or default: enough to run it again."""

    command: Annotated[str, Doc("The command that makes this report again.")]
    seconds_per_row: Annotated[float, Doc("Measured time of each load test, seconds.")]
    rate_per_s: Annotated[float, Doc("Requests offered per second in the server scenario.")]
    threads: Annotated[int, Doc("Threads that each runtime may use.")]
    scenarios: Annotated[tuple[str, ...], Doc("Scenarios that were asked for.")]
    repeat: Annotated[int, Doc("Rounds that were asked for: how often each row is measured.")] = 1


@dataclass(frozen=True, slots=True)
class Beat:
    """A calibration loop: the same work at several moments of a run. ``at_s`` counts from the run's start."""

    at_s: Annotated[float, Doc("When the calibration loop ran, seconds from the start of the run.")]
    median_ms: Annotated[float, Doc("How long the same small work took, milliseconds.")]


@dataclass(frozen=True, slots=True)
class NoiseCheck:
    """One thing that disturbs measurements: how much of it there was, and from where on it is too much."""

    name: Annotated[str, Doc("What disturbs measurements.")]
    measured: Annotated[float | None, Doc("How much of it there was; null if it could not be measured.")]
    limit: Annotated[float, Doc("From where on it is too much.")]
    unit: Annotated[Literal["share", "us"], Doc("share (0 to 1) or us (microseconds).")]
    reason: Annotated[str, Doc("Of what it is a share, and why the limit is where it is.")]
    passed: Annotated[bool, Doc("Whether it was below the limit, or could not be measured.")]


@dataclass(frozen=True, slots=True)
class Fairness:
    """In which order rows were measured, on which processors, and what else the machine did.

    ``order`` has, for each round, the rows in their order: ``path:variant protocol``. ``cpus_apart`` says
    whether servers and generator had processors of their own (``server_cpus``, ``generator_cpus``); only the former is
    empty where the servers were running already.
    ``load_before`` is the load average of the minute before the run, ``foreign_before`` the share of all processors
    that other processes took just then. ``noisy`` if a check failed.
    """

    seed: Annotated[int, Doc("Seed of the random order: --seed gives the same order again.")]
    order: Annotated[
        tuple[tuple[str, ...], ...],
        Doc("For each round, the rows in their order; where a run was stopped, not all of them were begun."),
    ]
    server_cpus: Annotated[
        tuple[int, ...], Doc("Processors that servers and in-process rows were given; empty for servers elsewhere.")
    ]
    generator_cpus: Annotated[tuple[int, ...], Doc("Processors that the load generator was given.")]
    cpus_apart: Annotated[bool, Doc("Whether servers and generator had processors of their own.")]
    load_before: Annotated[
        float | None, Doc("Load average of the minute before the run; null where the system has none.")
    ]
    foreign_before: Annotated[
        float | None, Doc("Share (0 to 1) of all processors that other processes took just before measuring.")
    ]
    governor: Annotated[str | None, Doc("The processors' frequency governors; null where the system shows none.")]
    beats: Annotated[tuple[Beat, ...], Doc("Calibration: the same small work before each start and at the end.")]
    checks: Annotated[tuple[NoiseCheck, ...], Doc("What was checked to tell whether the machine was too noisy.")]
    noisy: Annotated[bool, Doc("Whether the machine was too noisy for the figures to be compared.")]
    again: Annotated[tuple[str, ...], Doc("Rows that were measured again at the end, in their order.")] = ()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which row to ship, how sure that is, and why; ``row`` is ``path variant protocol``, None if none is fit."""

    row: Annotated[str | None, Doc("The row to ship, `path variant protocol`; null if none is fit.")]
    reason: Annotated[str, Doc("Why, with figures, for people.")]
    certainty: Annotated[
        Certainty,
        Doc("sure; tie: others are as good; provisional: the machine was disturbed; none: there is no row to ship."),
    ] = "none"


@dataclass(frozen=True, slots=True)
class Report:
    model: Annotated[str, Doc("Name of the model.")]
    title: Annotated[str, Doc("The model in a few words.")]
    task: Annotated[
        JudgedBy,
        Doc("What agreement with the reference is: the same class, the cosine of vectors, or differences only."),
    ]
    started: Annotated[str, Doc("When the run started, ISO 8601.")]
    wall_s: Annotated[float, Doc("Elapsed time of the run, seconds.")]
    machine: Annotated[Machine, Doc("Where it ran.")]
    versions: Annotated[dict[str, str], Doc("Version of each library that took part, by its distribution's name.")]
    settings: Annotated[RunSettings, Doc("What the user chose, or the defaults.")]
    training: Annotated[Training | None, Doc("The model's training; null if the run was interrupted before its end.")]
    artifacts: Annotated[tuple[ArtifactRow, ...], Doc("Every variant of every path, packaged and verified.")]
    rows: Annotated[tuple[Row, ...], Doc("Every artifact behind every protocol, and in process.")]
    recommendation: Annotated[Recommendation, Doc("Which row to ship, and why.")]
    parent_peak_rss_bytes: Annotated[
        int | None, Doc("Largest resident memory of the process that led the run, bytes.")
    ] = None
    interrupted: Annotated[bool, Doc("Whether the run was stopped before its end; what is there is whole.")] = False
    containers: Annotated[
        tuple[ContainerRow, ...], Doc("The servers in containers, with --containers; empty without.")
    ] = ()
    protocol_cost: Annotated[
        tuple[LayerCost, ...], Doc("What each layer between client and model adds to a request; empty if not measured.")
    ] = ()
    fairness: Annotated[
        Fairness | None,
        Doc("In which order, where and beside what rows were measured; null in reports of older versions."),
    ] = None
    schema_version: Annotated[int, Doc("Version of this schema; changes when a field changes its meaning or goes.")] = (
        SCHEMA_VERSION
    )

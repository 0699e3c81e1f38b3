"""Everything that one run learns, as plain data: the content of ``report.json``.

Units are in the names (``_s`` seconds, ``_ms`` milliseconds, ``_bytes``). A value that was not
measured is null, never zero. ``SCHEMA_VERSION`` changes when a field changes its meaning or goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SCHEMA_VERSION = 2
IN_PROCESS = "in-process"

Status = Literal["ok", "failed", "skipped"]
Via = Literal["published port", "container address"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A slice of a load test: the requests that were due in the ``width_s`` from ``from_s`` on (the start is 0)."""

    from_s: float
    width_s: float
    requests: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One rate of a latency-throughput curve; ``held`` says whether p99 was within the target, where there is one."""

    offered_per_s: float
    rate_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    held: bool | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """How far a figure scattered over the rounds of a run, in the figure's own unit.

    ``low`` to ``high`` are the extremes; from five rounds on an interval that holds the median with a
    probability of ``coverage`` or more (null: the extremes). ``values`` has one value a round.
    """

    figure: str
    low: float
    high: float
    coverage: float | None
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load test of one row.

    ``offered_per_s`` is the rate that was asked for in ``server`` (null elsewhere), ``concurrency`` the
    outstanding requests of the closed loops and the most that were in flight in ``server``.
    Latencies run from the *scheduled* start of a request. Percentiles that the number of samples
    cannot support are null (``unclaimable`` says which and why). ``quantiles_ms`` are the
    latencies at 0, 1, ... 100 %, for plots only. ``match_share`` is the share of checked answers
    that equal the in-process ones. ``samples_per_s`` counts rows of a batch, ``rate_per_s`` requests.
    ``attempts`` is how often it was measured until it was valid: a busy machine spoils a result.
    ``tail`` are (1/(1-p), latency in ms) up to what the count supports: for plots. In ``multi-stream`` a
    latency is that of a whole query of ``concurrency`` requests. ``closed_loop`` results do not show
    what a stall does to users: they are no basis for a tail target. ``server_cores`` is the CPU time a second of the
    server's processes (in process: of the one that predicts) in the measured part, ``server_busy_threads`` those that
    took a tenth of it or more; ``server_service_cores`` is the part of a Java runtime's compiler and collector, which
    answer no request. Where a run has several ``rounds``, figures are medians over the
    valid ones, counts are sums, and pictures are the middle round's.
    """

    name: Literal["single-stream", "multi-stream", "offline", "server"]
    valid: bool
    invalid_because: str | None
    duration_s: float
    batch: int
    concurrency: int
    offered_per_s: float | None
    rate_per_s: float
    samples_per_s: float
    requests: int
    errors: int
    error_examples: tuple[str, ...]
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    unclaimable: tuple[str, ...]
    quantiles_ms: tuple[float, ...]
    answers_checked: int
    match_share: float | None
    send_lag_p50_us: float | None
    send_lag_p99_us: float | None
    client_cpu_us_per_request: float | None
    server_cpu_ms_per_request: float | None = None
    warmup_requests: int = 0
    attempts: int = 1
    proxy_cpu_ms_per_request: float | None = None
    partial: bool = False
    closed_loop: bool = False
    arrivals: str | None = None
    send_lag_max_us: float | None = None
    client_cpu_share: float | None = None
    client_cpus: tuple[int, ...] = ()
    client_priority: str | None = None
    governor: str | None = None
    steal_share: float | None = None
    first_byte_p50_ms: float | None = None
    received_bytes: int | None = None
    request_bytes: float | None = None
    distinct_inputs: int | None = None
    steady_from_s: float | None = None
    tail: tuple[tuple[float, float], ...] = ()
    timeline: tuple[Moment, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    server_cores: float | None = None
    server_service_cores: float | None = None
    server_threads: int | None = None
    server_busy_threads: int | None = None
    server_cpus: tuple[int, ...] = ()
    foreign_cpu_share: float | None = None
    rounds: int = 1
    spreads: tuple[Spread, ...] = ()


def percentile_of(unclaimable: str) -> str:
    """Which percentile an entry of ``Scenario.unclaimable`` speaks of: its first word."""
    return unclaimable.replace(":", " ").partition(" ")[0]


@dataclass(frozen=True, slots=True)
class StageUsage:
    """The operating system's accounting of the process that did a stage."""

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class FileEntry:
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Flip:
    """A row whose largest output changed; ``margin`` is the reference's lead of its first class over its second."""

    set: str
    row: int
    reference: int
    received: int
    margin: float


@dataclass(frozen=True, slots=True)
class Parity:
    """An artifact's outputs against the reference's, over one set of inputs at one batch size."""

    set: Literal["evaluation", "random"]
    batch: int
    rows: int
    max_abs: float
    max_rel: float
    cosine: float
    top1: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """The parity verdict of one artifact, bound to its bytes by ``artifact_sha256``.

    ``basis_sha256`` covers what it was compared with, by which code and within which tolerance;
    ``answers_sha256`` the artifact's own answers, with which answers over the wire are compared.
    ``max_abs`` and ``cosine`` are the worst of the checks that the tolerance judges.
    """

    artifact_sha256: str
    basis_sha256: str
    answers_sha256: str
    reference: str
    atol: float
    min_top1: float
    tolerance_source: Literal["variant", "user"]
    passed: bool
    breaches: tuple[str, ...]
    max_abs: float
    cosine: float
    top1: float
    accuracy: float | None
    reference_accuracy: float | None
    checks: tuple[Parity, ...]
    flips: tuple[Flip, ...]


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """One variant of one path: packaged and verified."""

    path: str
    variant: str
    framework: str
    summary: str
    status: Status
    reason: str | None
    cached: bool = False
    folder: str | None = None
    size_bytes: int | None = None
    files: tuple[FileEntry, ...] = ()
    package: StageUsage | None = None
    verify: StageUsage | None = None
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One variant of one path behind one protocol, or in process.

    ``cold_start_s`` runs from the start of the process to its first answer; the protocols of one
    server share the start. ``share_of_in_process`` is the ``offline`` throughput over that of the same
    artifact in process, with the same number of threads a prediction: one caller there, several
    requests outstanding here, so a server that answers them side by side can exceed 1.
    ``peak_memory_bytes`` sums the peaks of all processes of the server until then, so that the
    protocol of a server that was measured later includes the one before. ``breaches`` say where more threads computed
    than were allowed, ``threads_seen`` whether that could have been seen; ``threads_probe`` is a short closed loop of
    large requests, one at a time, that is in no other figure. ``rounds`` is how often the row was
    measured; figures are medians over them.
    """

    path: str
    variant: str
    protocol: str
    status: Status
    reason: str | None
    server: str | None = None
    cold_start_s: float | None = None
    peak_memory_bytes: int | None = None
    share_of_in_process: float | None = None
    answer: str | None = None
    scenarios: tuple[Scenario, ...] = ()
    rounds: int = 1
    spreads: tuple[Spread, ...] = ()
    breaches: tuple[str, ...] = ()
    threads_seen: bool = False
    threads_probe: Scenario | None = None


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """One protocol of an artifact's server in a container, reached one way.

    ``row`` holds the figures as those of any row, so that they stand beside the row of the bare
    process with the same path, variant and protocol. Its ``cold_start_s`` runs from the request to
    create the container, as ``start_s`` does, which ends when the server can predict; all rows of one
    container share both. ``image_bytes`` is what the image takes on disk, shared layers included.
    """

    via: Via
    row: Row
    image: str | None = None
    image_bytes: int | None = None
    start_s: float | None = None


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What one layer between a client and a model costs a request, from ``single-stream``: one request at a time.

    Layers lie on one another: in process, a protocol of the bare process, the container's own address,
    the published port. ``added_*`` is against ``below``, the layer beneath; ``over_in_process_*``
    against the model's own call. CPU time that is added is that of server and proxy together. A difference
    can be negative: each side has its noise. ``why_missing`` says why a layer has no figures.
    """

    path: str
    variant: str
    protocol: str
    via: Literal["in-process", "bare process", "container address", "published port"]
    below: str | None = None
    p50_ms: float | None = None
    server_cpu_ms: float | None = None
    proxy_cpu_ms: float | None = None
    client_cpu_us: float | None = None
    request_bytes: float | None = None
    response_bytes: float | None = None
    over_in_process_ms: float | None = None
    over_in_process_cpu_ms: float | None = None
    added_ms: float | None = None
    added_cpu_ms: float | None = None
    why_missing: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    system: str
    python: str
    cpu: str
    cores: int
    memory_bytes: int
    gpu: str | None = None


@dataclass(frozen=True, slots=True)
class Training:
    framework: str
    weights_sha256: str
    test_accuracy: float
    parameters: int
    wall_s: float
    cached: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose, or the defaults: enough to run it again."""

    command: str
    seconds_per_row: float
    rate_per_s: float
    threads: int
    scenarios: tuple[str, ...]
    repeat: int = 1


@dataclass(frozen=True, slots=True)
class Beat:
    """A calibration loop: the same work at several moments of a run. ``at_s`` counts from the run's start."""

    at_s: float
    median_ms: float


@dataclass(frozen=True, slots=True)
class NoiseCheck:
    """One thing that disturbs measurements: how much of it there was, and from where on it is too much."""

    name: str
    measured: float | None
    limit: float
    unit: Literal["share", "us"]
    reason: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Fairness:
    """In which order rows were measured, on which processors, and what else the machine did.

    ``order`` has, for each round, the rows in their order: ``path:variant protocol``. ``cpus_apart`` says
    whether servers and generator had processors of their own (``server_cpus``, ``generator_cpus``); only the former is
    empty where the servers were running already.
    ``load_before`` is the load average of the minute before the run, ``foreign_before`` the share of all processors
    that other processes took just then. ``noisy`` if a check failed.
    """

    seed: int
    order: tuple[tuple[str, ...], ...]
    server_cpus: tuple[int, ...]
    generator_cpus: tuple[int, ...]
    cpus_apart: bool
    load_before: float | None
    foreign_before: float | None
    governor: str | None
    beats: tuple[Beat, ...]
    checks: tuple[NoiseCheck, ...]
    noisy: bool


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which row to ship and why; ``row`` is ``path variant protocol``, None if none is fit."""

    row: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    model: str
    title: str
    started: str
    wall_s: float
    machine: Machine
    versions: dict[str, str]
    settings: Settings
    training: Training | None
    artifacts: tuple[ArtifactRow, ...]
    rows: tuple[Row, ...]
    recommendation: Recommendation
    parent_peak_rss_bytes: int | None = None
    interrupted: bool = False
    containers: tuple[ContainerRow, ...] = ()
    protocol_cost: tuple[LayerCost, ...] = ()
    fairness: Fairness | None = None
    schema_version: int = field(default=SCHEMA_VERSION)

"""A whole report, and how its run was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pipelines.results.artifact import ArtifactRow
from pipelines.results.row import ContainerRow, LayerCost, Row
from pipelines.results.words import Certainty, Doc, JudgedBy

SCHEMA_VERSION = 5
"""Version 2: the figures of a load test are in its parts ``load``, ``latency``, ``generator`` and ``server``, without
the prefixes ``client_`` and ``server_`` (``server_cores`` is ``server.cores``); ``unclaimable`` has numbers in place of
sentences; spreads name a figure with its part; ``invalid_causes`` is new. Version 3: certificates are judged by
``sqnr_db``; their ``atol`` may be null. Version 4: rows have ``where``, and a ``protocol`` only if they are served;
``top1`` is null for models without classes; ``min_cosine`` and ``task`` are new. Version 5: ``where`` may be
``in-browser``; such rows have ``download_bytes``, ``load_s`` and ``page_memory_bytes``."""


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
        float | None,
        Doc("Accuracy (0 to 1) on the test set after training; null for published weights and users' files."),
    ]
    parameters: Annotated[int | None, Doc("Number of trained values; null for a user's file that does not say it.")]
    wall_s: Annotated[float, Doc("Elapsed time of the training, seconds.")]
    cached: Annotated[bool, Doc("Whether the weights came from the cache.")]
    source: Annotated[str | None, Doc("Distribution that published the weights; null for a model trained here.")] = None
    own_file: Annotated[bool, Doc("Whether the model is a user's file, which source then names.")] = False

    @property
    def origin(self) -> str:
        """Where the weights are from, in a few words."""
        if self.own_file:
            return f"the file {self.source}"
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

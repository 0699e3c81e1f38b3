"""One run: package, verify, serve, query, load-test and report every path, for one model."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version

import psutil
from pydantic import TypeAdapter

from models.spec import ModelSpec
from pipelines.artifact import Artifact
from pipelines.contained import measure_contained, unmeasured
from pipelines.loadtest.settings import LoadSettings, ScenarioName
from pipelines.machine import this_machine
from pipelines.paths import Card
from pipelines.progress import Step, Steps
from pipelines.report.protocol_cost import protocol_cost
from pipelines.report.recommend import recommend
from pipelines.results import IN_PROCESS, ArtifactRow, ContainerRow, Report, Row, Scenario, Settings
from pipelines.select import Choice
from pipelines.served import flavour_for, judged, measure_served
from pipelines.stages import ANSWERS, OFFLINE_BATCH
from pipelines.steps import Context, HowTrained, attempt, ensure_trained, prepare, start_row
from pipelines.worker import run_stage
from serving.launch import peak_rss_bytes

SCENARIOS: tuple[ScenarioName, ...] = ("single-stream", "offline", "server")
SHARES = {"single-stream": 0.25, "offline": 0.25, "server": 0.5}
"""How a row's time is shared: the tail of ``server`` needs the most samples."""
WARMUP_SHARE = 0.2
OFFLINE_CONCURRENCY = 4
INTERRUPTED = "interrupted before it was measured"


@dataclass(frozen=True, slots=True)
class Options:
    """What a user chooses of a run. ``jobs`` packaging workers run side by side; load tests never do."""

    seconds_per_row: float = 5.0
    rate_per_s: float | None = None
    threads: int = 1
    jobs: int = 2
    atol: float | None = None
    server: str | None = None
    scenarios: tuple[ScenarioName, ...] = SCENARIOS
    framework: str | None = None
    containers: bool = False


def load_settings(options: Options, spec: ModelSpec) -> list[LoadSettings]:
    """The load tests of one row. Raises UserError for values out of range."""
    total = sum(SHARES[name] for name in options.scenarios)
    settings = []
    for name in options.scenarios:
        seconds = options.seconds_per_row * SHARES[name] / total
        settings.append(
            LoadSettings(
                scenario=name,
                duration_s=seconds,
                warmup_s=min(1.0, WARMUP_SHARE * seconds),
                rate_per_s=options.rate_per_s or spec.rate_per_s,
                batch=OFFLINE_BATCH if name == "offline" else 1,
                concurrency=OFFLINE_CONCURRENCY,
            )
        )
    return settings


class Run:
    """What a run has learned so far; :meth:`report` can be asked for at any time."""

    def __init__(
        self, context: Context, spec: ModelSpec, choices: Sequence[Choice], options: Options, steps: Steps
    ) -> None:
        self.context, self.spec, self.choices, self.options, self.steps = context, spec, choices, options, steps
        self.settings = load_settings(options, spec)
        self.started = datetime.now(UTC)
        self._clock = time.monotonic()
        self.prepared: dict[str, tuple[ArtifactRow, Artifact | None]] = {}
        self.rows: list[Row] = []
        self.containers: list[ContainerRow] = []
        self.interrupted = False

    def execute(self) -> None:
        """Do everything; on Ctrl-C, end what runs and keep what is known."""
        how = HowTrained(self.options.framework) if self.options.framework else None
        with self.steps.step(f"train {self.spec.name}") as step:
            self.model, self.training = ensure_trained(self.context, self.spec.name, how)
            note = f"{self.training.framework}, test accuracy {self.training.test_accuracy:.1%}"
            step.end("cached" if self.training.cached else "ok", note)
        try:
            self._prepare_all()
            self._measure_all()
        except KeyboardInterrupt:
            self.context.cancel.set()
            self.interrupted = True

    def _prepare_all(self) -> None:
        with ThreadPoolExecutor(self.options.jobs) as pool:
            try:
                list(pool.map(self._prepare, self.choices))
            except KeyboardInterrupt:
                self.context.cancel.set()  # the workers see it; the pool then ends by itself
                pool.shutdown(cancel_futures=True)
                raise

    def _prepare(self, choice: Choice) -> None:
        with self.steps.step(f"package and verify {choice.name}") as step:
            row, artifact = prepare(self.context, self.model, choice, self.options.atol)
            self.prepared[choice.name] = row, artifact
            step.end("cached" if row.cached else row.status, row.reason or _parity_note(row))

    def _measure_all(self) -> None:
        for choice in self.choices:
            row, artifact = self.prepared[choice.name]
            if artifact is None:
                why = f"{row.status} before it could be measured: {row.reason}"
                protocols = (IN_PROCESS, *choice.card.protocols)
                self.rows += [Row(row.path, row.variant, protocol, row.status, why) for protocol in protocols]
                if self._in_container(choice.card):
                    self.containers += unmeasured(choice.card, choice.variant, row.status, why)
                continue
            with self.steps.step(f"measure {choice.name} in process") as step:
                alone = self._in_process(choice, artifact)
                self._conclude(step, [alone])
            if choice.card.server is not None:
                with self.steps.step(f"serve and load-test {choice.name}") as step:
                    self._conclude(step, self._served(choice.card, artifact, alone))
            if self._in_container(choice.card):
                # Right after the bare process, with which it is compared.
                with self.steps.step(f"serve and load-test {choice.name} in a container") as step:
                    found = measure_contained(
                        choice.card,
                        artifact,
                        self.spec,
                        self.settings,
                        self.context.logs,
                        step.say,
                        threads=self.options.threads,
                    )
                    self.containers += found
                    self._end(step, [one.row for one in found])

    def _in_container(self, card: Card) -> bool:
        return self.options.containers and card.container is not None

    def _conclude(self, step: Step, rows: list[Row]) -> None:
        self.rows += rows
        self._end(step, rows)

    def _end(self, step: Step, rows: list[Row]) -> None:
        bad = [row for row in rows if row.status != "ok"]
        step.end(bad[0].status if bad else "ok", f"{bad[0].protocol}: {bad[0].reason}" if bad else "")

    def _in_process(self, choice: Choice, artifact: Artifact) -> Row:
        row = Row(choice.card.name, choice.variant, IN_PROCESS, "ok", choice.card.no_server or None, server=None)
        request = {
            "path": choice.card.name,
            "payload": str(artifact.payload),
            "answers": str(artifact.folder / ANSWERS),
            "settings": [asdict(settings) for settings in self.settings],
            "threads": self.options.threads,
        }
        log = self.context.log(f"measure-{choice.name}")

        def measured() -> Row:
            outcome = run_stage("measure", request, log, self.context.cancel, threads=self.options.threads)
            scenarios = TypeAdapter(tuple[Scenario, ...]).validate_python(outcome.value["scenarios"])
            return judged(
                replace(
                    row,
                    cold_start_s=outcome.value["cold_start_s"],
                    peak_memory_bytes=outcome.usage.peak_rss_bytes,
                    scenarios=scenarios,
                )
            )

        return attempt(row, choice.card.extra, measured)

    def _served(self, card: Card, artifact: Artifact, alone: Row) -> list[Row]:
        rows = measure_served(
            card,
            artifact,
            self.spec,
            self.settings,
            self.context.logs,
            threads=self.options.threads,
            flavour=flavour_for(card, self.options.server),
        )
        base = offline_rate(alone)
        return [replace(row, share_of_in_process=share(offline_rate(row), base)) for row in rows]

    def report(self) -> Report:
        """Everything so far; what was not reached is a skipped row."""
        artifacts = []
        for choice in self.choices:
            known = self.prepared.get(choice.name)
            artifacts.append(known[0] if known else replace(start_row(choice), status="skipped", reason=INTERRUPTED))
        done = {(row.path, row.variant, row.protocol) for row in self.rows}
        missing = [
            Row(choice.card.name, choice.variant, protocol, "skipped", INTERRUPTED)
            for choice in self.choices
            for protocol in (IN_PROCESS, *choice.card.protocols)
            if (choice.card.name, choice.variant, protocol) not in done
        ]
        rows = tuple(self.rows + missing)
        contained = {(one.row.path, one.row.variant) for one in self.containers}
        not_contained = [
            one
            for choice in self.choices
            if self._in_container(choice.card) and (choice.card.name, choice.variant) not in contained
            for one in unmeasured(choice.card, choice.variant, "skipped", INTERRUPTED)
        ]
        containers = (*self.containers, *not_contained)
        not_spoken = {choice.card.name: choice.card.not_spoken for choice in self.choices}
        versions = {"slipway": version("slipway")}
        for _, artifact in self.prepared.values():
            versions |= artifact.manifest.versions if artifact else {}
        return Report(
            model=self.spec.name,
            title=self.spec.title,
            started=self.started.isoformat(timespec="seconds"),
            wall_s=time.monotonic() - self._clock,
            machine=this_machine(),
            versions=dict(sorted(versions.items())),
            settings=Settings(
                command=shlex.join(["slipway", *sys.argv[1:]]),
                seconds_per_row=self.options.seconds_per_row,
                rate_per_s=self.options.rate_per_s or self.spec.rate_per_s,
                threads=self.options.threads,
                scenarios=self.options.scenarios,
            ),
            training=self.training,
            artifacts=tuple(artifacts),
            rows=rows,
            recommendation=recommend(tuple(artifacts), rows),
            parent_peak_rss_bytes=peak_rss_bytes(psutil.Process()),
            interrupted=self.interrupted,
            containers=containers,
            protocol_cost=protocol_cost(rows, containers, not_spoken),
        )


def offline_rate(row: Row) -> float | None:
    """Samples per second of the row's ``offline`` scenario, None if it was not measured."""
    return next((scenario.samples_per_s for scenario in row.scenarios if scenario.name == "offline"), None)


def share(rate: float | None, base: float | None) -> float | None:
    """``rate`` over ``base``, None where one of them is missing or zero."""
    return rate / base if rate and base else None


def _parity_note(row: ArtifactRow) -> str:
    if row.certificate is None:
        return ""
    return f"max abs difference {row.certificate.max_abs:.1e}, top-1 {row.certificate.top1:.1%}"

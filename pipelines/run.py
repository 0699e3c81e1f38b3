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
from pipelines.fairness.affinity import confined, divide, usable
from pipelines.fairness.order import new_seed
from pipelines.loadtest.settings import LoadSettings, ScenarioName
from pipelines.machine import this_machine
from pipelines.measured import Plan, measure_served
from pipelines.measuring import Job, Measuring, Round, Work
from pipelines.paths import Card
from pipelines.progress import Steps
from pipelines.report.recommend import recommend
from pipelines.results import IN_PROCESS, ArtifactRow, Report, Row, Scenario, Settings
from pipelines.select import Choice
from pipelines.served import flavour_for
from pipelines.stages import ANSWERS, OFFLINE_BATCH
from pipelines.steps import Context, HowTrained, attempt, ensure_trained, prepare, start_row
from pipelines.worker import run_stage
from serving.launch import peak_rss_bytes

SCENARIOS: tuple[ScenarioName, ...] = ("single-stream", "offline", "server")
SHARES = {"single-stream": 0.25, "offline": 0.25, "server": 0.5}
"""How a row's time is shared: the tail of ``server`` needs the most samples."""
WARMUP_SHARE = 0.2
OFFLINE_CONCURRENCY = 4
CURVE_SHARE = 0.2
"""Of a row's time, for each rate of a curve: enough for a 99th percentile from 500 requests/s on, by default."""
INTERRUPTED = "interrupted before it was measured"


@dataclass(frozen=True, slots=True)
class Options:
    """What a user chooses of a run. ``jobs`` packaging workers run side by side; load tests never do.

    Each row is measured ``repeat`` times, in an order that follows from ``seed`` (None: another each time).
    """

    seconds_per_row: float = 5.0
    rate_per_s: float | None = None
    threads: int = 1
    jobs: int = 2
    atol: float | None = None
    server: str | None = None
    scenarios: tuple[ScenarioName, ...] = SCENARIOS
    framework: str | None = None
    containers: bool = False
    repeat: int = 1
    seed: int | None = None
    curve: bool = False


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
        self.measuring = Measuring(
            Plan(self.settings, options.threads, divide(usable())),
            options.repeat,
            new_seed() if options.seed is None else options.seed,
            CURVE_SHARE * options.seconds_per_row if options.curve else 0.0,
        )
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
        self.measuring.rounds(self._jobs(), self.steps)

    def _jobs(self) -> list[list[Job]]:
        """What is to be started and measured in each round; what belongs together stays together.

        What was not packaged or failed parity is noted at once, and not measured.
        """
        groups = []
        for choice in self.choices:
            row, artifact = self.prepared[choice.name]
            if artifact is None:
                why = f"{row.status} before it could be measured: {row.reason}"
                for protocol in (IN_PROCESS, *choice.card.protocols):
                    self.measuring.keep(Row(row.path, row.variant, protocol, row.status, why))
                if self._in_container(choice.card):
                    for one in unmeasured(choice.card, choice.variant, row.status, why):
                        self.measuring.keep_contained(one)
                continue
            title = f"measure {choice.name} in process"
            groups.append([Job(title, choice.name, (IN_PROCESS,), self._in_process(choice, artifact))])
            behind = []
            if choice.card.server is not None:
                title = f"serve and load-test {choice.name}"
                behind.append(Job(title, choice.name, choice.card.protocols, self._served(choice.card, artifact)))
            if self._in_container(choice.card):
                # Beside the bare process, with which it is compared.
                title = f"serve and load-test {choice.name} in a container"
                behind.append(Job(title, f"{choice.name} container", (), self._contained(choice.card, artifact)))
            groups.append(behind)
        return [group for group in groups if group]

    def _in_container(self, card: Card) -> bool:
        return self.options.containers and card.container is not None

    def _in_process(self, choice: Choice, artifact: Artifact) -> Work:
        row = Row(choice.card.name, choice.variant, IN_PROCESS, "ok", choice.card.no_server or None, server=None)
        log = self.context.log(f"measure-{choice.name}")

        def work(now: Round) -> None:
            request = {
                "path": choice.card.name,
                "payload": str(artifact.payload),
                "answers": str(artifact.folder / ANSWERS),
                "settings": [asdict(settings) for settings in now.plan.settings],
                "threads": now.plan.threads,
            }

            def measured() -> Row:
                with confined(now.plan.place.server):
                    outcome = run_stage("measure", request, log, self.context.cancel, threads=now.plan.threads)
                return replace(
                    row,
                    cold_start_s=outcome.value["cold_start_s"],
                    peak_memory_bytes=outcome.usage.peak_rss_bytes,
                    scenarios=TypeAdapter(tuple[Scenario, ...]).validate_python(outcome.value["scenarios"]),
                )

            now.keep(attempt(row, choice.card.extra, measured))

        return work

    def _served(self, card: Card, artifact: Artifact) -> Work:
        flavour = flavour_for(card, self.options.server)

        def work(now: Round) -> None:
            logs, say = self.context.logs, now.step.say
            measure_served(card, artifact, self.spec, now.plan, logs, now.protocols, now.keep, say, flavour)

        return work

    def _contained(self, card: Card, artifact: Artifact) -> Work:
        def work(now: Round) -> None:
            for one in measure_contained(card, artifact, self.spec, now.plan, self.context.logs, now.step.say):
                now.keep_contained(one)

        return work

    def report(self) -> Report:
        """Everything so far; what was not reached is a skipped row."""
        artifacts = []
        for choice in self.choices:
            known = self.prepared.get(choice.name)
            artifacts.append(known[0] if known else replace(start_row(choice), status="skipped", reason=INTERRUPTED))
        found = self.measuring.rows()
        rows = []
        for choice in self.choices:
            base = found.get((choice.card.name, choice.variant, IN_PROCESS))
            for protocol in (IN_PROCESS, *choice.card.protocols):
                key = (choice.card.name, choice.variant, protocol)
                row = found.get(key) or Row(*key, "skipped", INTERRUPTED)
                if base is not None and row is not base:
                    row = replace(row, share_of_in_process=share(offline_rate(row), offline_rate(base)))
                rows.append(row)
        places = [(choice.card.name, choice.variant) for choice in self.choices]
        containers = self.measuring.contained_rows()
        containers.sort(key=lambda one: places.index((one.row.path, one.row.variant)))
        contained = {(one.row.path, one.row.variant) for one in containers}
        not_contained = [
            one
            for choice in self.choices
            if self._in_container(choice.card) and (choice.card.name, choice.variant) not in contained
            for one in unmeasured(choice.card, choice.variant, "skipped", INTERRUPTED)
        ]
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
                repeat=self.options.repeat,
            ),
            training=self.training,
            artifacts=tuple(artifacts),
            rows=tuple(rows),
            recommendation=recommend(tuple(artifacts), tuple(rows)),
            parent_peak_rss_bytes=peak_rss_bytes(psutil.Process()),
            interrupted=self.interrupted,
            containers=(*containers, *not_contained),
            fairness=self.measuring.fairness(),
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

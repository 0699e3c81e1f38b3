"""Run the pipeline for one model: package, verify, serve, query, load-test and report every path."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import psutil

from models.model import KeptModel
from models.spec import ModelSpec
from pipelines.artifacts.artifact import Artifact
from pipelines.artifacts.named import title_of
from pipelines.base.progress import Steps
from pipelines.fairness.affinity import divide, usable
from pipelines.fairness.hardware import this_machine
from pipelines.fairness.order import new_seed
from pipelines.measure.container import unmeasured
from pipelines.measure.rounds import Job, Measuring, key_of
from pipelines.measure.rows import MeasurePlan
from pipelines.paths.choose import Choice
from pipelines.report import numbers
from pipelines.report.protocol_cost import protocol_cost
from pipelines.report.recommend import recommend
from pipelines.report.uncertain import most_uncertain
from pipelines.results import ArtifactRow, Report, Row, RunSettings, Training
from pipelines.run.jobs import Jobs
from pipelines.run.journal import Journaled
from pipelines.run.making import prepare
from pipelines.run.options import Options, load_settings
from pipelines.run.prepare import Context, HowTrained, ensure_trained, start_row
from pipelines.run.room import Room, need_of
from serving.extras import DISTRIBUTION
from serving.launch import peak_rss_bytes

CURVE_SHARE = 0.2
"""Share of a row's time for each rate of a curve: by default, enough for a p99 from 500 requests/s on."""
AGAIN_SHARE = 1 / 3
"""Share of the run's time so far that may be spent on measuring disturbed rows again."""
INTERRUPTED = "interrupted before it was measured"


class Run:
    """Runs the pipeline and collects the results; :meth:`report` can be called at any time."""

    def __init__(
        self,
        context: Context,
        spec: ModelSpec,
        choices: Sequence[Choice],
        options: Options,
        steps: Steps,
        journaled: Journaled | None = None,
    ) -> None:
        """``journaled`` is the journal of the run, and what it measured before it was stopped."""
        self.context, self.spec, self.choices, self.options, self.steps = context, spec, choices, options, steps
        self.settings = load_settings(options, spec)
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.command = shlex.join(["slipway", *sys.argv[1:]])
        if journaled is not None:
            self.started, self.command = journaled.intent.started, journaled.intent.command
        self.journaled = journaled
        self._clock = time.monotonic()
        self._room = Room()
        self.training: Training | None = None
        self.prepared: dict[str, tuple[ArtifactRow, Artifact | None]] = {}
        self.measuring = Measuring(
            MeasurePlan(self.settings, options.threads, divide(usable())),
            options.repeat,
            new_seed() if options.seed is None else options.seed,
            CURVE_SHARE * options.seconds_per_row if options.curve else 0.0,
        )
        self.interrupted = False

    def execute(self) -> None:
        """Do everything; on Ctrl-C, stop the processes and keep the results so far."""
        try:
            self._prepare_all(self._train())
            groups = self._jobs()
            self._restore()
            self._measure_all(groups)
        except KeyboardInterrupt:
            self.context.cancel.set()
            self.interrupted = True

    def _measure_all(self, groups: list[list[Job]]) -> None:
        """Measure all rounds; spend what is left of the budget on what is disturbed, then on what is uncertain."""
        budget_s, begun = self.options.budget_s, time.monotonic()
        self.measuring.rounds(groups, self.steps, budget_s or 0.0)
        if budget_s is None:
            self.measuring.again(groups, self.steps, AGAIN_SHARE * (time.monotonic() - self._clock))
            return
        end = begun + budget_s
        self.measuring.again(groups, self.steps, end - time.monotonic())
        artifacts = [row for row, _ in self.prepared.values()]
        rank = partial(most_uncertain, artifacts)
        self.measuring.further(groups, self.steps, end - time.monotonic(), rank)

    def _restore(self) -> None:
        """Take over what was measured before the run was stopped, and keep from now on what is measured."""
        if self.journaled is None:
            return
        journal, built = self.journaled.journal, {name: artifact for name, (_, artifact) in self.prepared.items()}

        def hash_of(row: Row) -> str | None:
            artifact = built.get(f"{row.path}:{row.variant}")
            return artifact.manifest.artifact_sha256 if artifact else None

        for one in self.journaled.rows:
            if hash_of(one.row) == one.artifact_sha256:
                self.measuring.keep(one.row)

        def add(row: Row) -> None:
            if sha256 := hash_of(row):
                journal.add(sha256, row)

        self.measuring.journal = add

    def _train(self) -> KeptModel:
        how = HowTrained(self.options.framework) if self.options.framework else None
        with self.steps.step(title_of(self.spec.name)) as step:
            model, self.training = ensure_trained(self.context, self.spec.name, how, step.say)
            step.end("cached" if self.training.cached else "ok", self.training.origin)
        return model

    def _prepare_all(self, model: KeptModel) -> None:
        with ThreadPoolExecutor(self.options.jobs) as pool:
            try:
                list(pool.map(partial(self._prepare, model), self.choices))
            except KeyboardInterrupt:
                self.context.cancel.set()  # the workers see it and end, and with them the pool
                pool.shutdown(cancel_futures=True)
                raise

    def _prepare(self, model: KeptModel, choice: Choice) -> None:
        need = need_of(choice.chosen.memory_gb, model.folder)
        with self._room.taken(need, self.context.cancel), self.steps.step(f"package and verify {choice.name}") as step:
            row, artifact = prepare(self.context, model, choice, self.options.atol)
            self.prepared[choice.name] = row, artifact
            step.end("cached" if row.cached else row.status, row.reason or _parity_note(row))

    def _jobs(self) -> list[list[Job]]:
        """List the jobs to measure; record at once what was not packaged or failed parity."""
        groups: list[list[Job]] = []
        jobs = Jobs(self.context, self.spec, self.options.server, self.options.containers)
        for choice in self.choices:
            row, artifact = self.prepared[choice.name]
            if artifact is not None:
                groups += jobs.of(choice, artifact)
                continue
            why = f"{row.status} before it could be measured: {row.reason}"
            for protocol in choice.card.ways:
                self.measuring.keep(Row.at(row.path, row.variant, protocol, row.status, why))
            if jobs.in_container(choice.card):
                for one in unmeasured(choice.card, choice.variant, row.status, why):
                    self.measuring.keep_contained(one)
        return groups

    def report(self) -> Report:
        """Build the report of everything so far; rows that were not reached are skipped."""
        artifacts = []
        for choice in self.choices:
            known = self.prepared.get(choice.name)
            artifacts.append(known[0] if known else replace(start_row(choice), status="skipped", reason=INTERRUPTED))
        found = self.measuring.rows()
        rows = []
        for choice in self.choices:
            base = found.get((choice.card.name, choice.variant, choice.card.where))
            for protocol in choice.card.ways:
                key = (choice.card.name, choice.variant, protocol)
                row = found.get(key) or Row.at(*key, "skipped", INTERRUPTED)
                if base is not None and row is not base:
                    row = replace(row, share_of_in_process=share(offline_rate(row), offline_rate(base)))
                rows.append(row)
        contained = self.measuring.contained_rows()
        containers = tuple(
            contained.get(key_of(one), one)
            for choice in self.choices
            if self.options.containers and choice.card.container is not None
            for one in unmeasured(choice.card, choice.variant, "skipped", INTERRUPTED)
        )
        not_spoken = {choice.card.name: choice.card.not_spoken for choice in self.choices}
        fairness = self.measuring.fairness()
        versions = {"slipway": version(DISTRIBUTION)}
        for _, artifact in self.prepared.values():
            versions |= artifact.manifest.versions if artifact else {}
        return Report(
            model=self.spec.name,
            title=self.spec.title,
            task=self.spec.task.judged_by,
            started=self.started,
            wall_s=time.monotonic() - self._clock,
            machine=this_machine(),
            versions=dict(sorted(versions.items())),
            settings=RunSettings(
                command=self.command,
                seconds_per_row=self.options.seconds_per_row,
                rate_per_s=self.options.rate_per_s or self.spec.rate_per_s,
                threads=self.options.threads,
                scenarios=self.options.chosen_scenarios,
                repeat=self.options.repeat,
            ),
            training=self.training,
            artifacts=tuple(artifacts),
            rows=tuple(rows),
            recommendation=recommend(artifacts, rows, noisy=fairness.noisy),
            parent_peak_rss_bytes=peak_rss_bytes(psutil.Process()),
            interrupted=self.interrupted,
            containers=containers,
            protocol_cost=protocol_cost(tuple(rows), containers, not_spoken),
            fairness=fairness,
        )


def offline_rate(row: Row) -> float | None:
    """Return the samples per second of the row's ``offline`` scenario, None if not measured."""
    return next((scenario.load.samples_per_s for scenario in row.scenarios if scenario.name == "offline"), None)


def share(rate: float | None, base: float | None) -> float | None:
    """Divide ``rate`` by ``base``; None if one of them is missing or zero."""
    return rate / base if rate and base else None


def _parity_note(row: ArtifactRow) -> str:
    if row.certificate is None:
        return ""
    top1 = "" if row.certificate.top1 is None else f", top-1 {row.certificate.top1:.1%}"
    return f"{numbers.nearness(row.certificate)}{top1}"

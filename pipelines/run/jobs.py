"""Makes the jobs that measure one artifact: its worker, its server, its container."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from pydantic import TypeAdapter

from models.spec import ModelSpec
from pipelines.artifacts.artifact import Artifact
from pipelines.fairness.affinity import confined
from pipelines.measure.container import measure_contained
from pipelines.measure.rounds import Job, Round, Work
from pipelines.measure.rows import Bench, measure_served
from pipelines.measure.server import flavour_for
from pipelines.paths import Card
from pipelines.paths.choose import Choice
from pipelines.results import IN_BROWSER, Row, Scenario
from pipelines.run.prepare import Context, attempt
from pipelines.stages.answers import ANSWERS
from pipelines.stages.worker import run_stage


@dataclass(frozen=True, slots=True)
class Jobs:
    """Makes the jobs of a run's artifacts. ``server`` names a flavour, ``containers`` adds each server's container."""

    context: Context
    spec: ModelSpec
    server: str | None = None
    containers: bool = False

    def in_container(self, card: Card) -> bool:
        """Tell whether a path is measured in its container, too."""
        return self.containers and card.container is not None

    def of(self, choice: Choice, artifact: Artifact) -> list[list[Job]]:
        """Return the jobs of one artifact; those of a group follow each other."""
        title = f"measure {choice.name} {'in a browser' if choice.card.where == IN_BROWSER else 'in process'}"
        alone = [Job(title, choice.name, (choice.card.where,), self._alone(choice, artifact))]
        behind = []
        if choice.card.server is not None:
            title = f"serve and load-test {choice.name}"
            behind.append(Job(title, choice.name, choice.card.protocols, self._served(choice.card, artifact)))
        if self.in_container(choice.card):
            # In one group with the bare process, because the two are compared.
            title = f"serve and load-test {choice.name} in a container"
            behind.append(Job(title, f"{choice.name} container", (), self._contained(choice.card, artifact)))
        return [alone, behind] if behind else [alone]

    def _alone(self, choice: Choice, artifact: Artifact) -> Work:
        row = Row.at(choice.card.name, choice.variant, choice.card.where, "ok", choice.card.no_server or None)
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
                    **outcome.value["figures"],
                    scenarios=TypeAdapter(tuple[Scenario, ...]).validate_python(outcome.value["scenarios"]),
                )

            now.keep(attempt(row, choice.card.extra, measured))

        return work

    def _served(self, card: Card, artifact: Artifact) -> Work:
        flavour = flavour_for(card, self.server)

        def work(now: Round) -> None:
            bench = Bench(card, artifact, self.spec, now.plan, now.keep, now.step.say)
            measure_served(bench, self.context.logs, now.protocols, flavour)

        return work

    def _contained(self, card: Card, artifact: Artifact) -> Work:
        def work(now: Round) -> None:
            bench = Bench(card, artifact, self.spec, now.plan, say=now.step.say)
            measure_contained(bench, self.context.logs, now.keep_contained)

        return work

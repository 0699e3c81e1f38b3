"""Load-tests servers that run already: the rows of a run that need only their addresses."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil

from models.spec import ModelSpec
from pipelines.artifacts.artifact import Artifact
from pipelines.base.files import scratch
from pipelines.base.progress import Steps
from pipelines.fairness.affinity import Division
from pipelines.loadtest.generator.live import Glance
from pipelines.measure.rounds import Job, Round, Work
from pipelines.measure.rows import Bench, measure_protocol
from pipelines.results import IN_PROCESS, Row
from pipelines.run.addresses import Deployed, artifact_in, model_in
from pipelines.run.options import Options
from pipelines.run.pipeline import Run
from pipelines.run.prepare import Context, attempt, start_row
from serving.launch import Recipe, Usage

Look = Callable[[str, str, Glance | None], None]
"""Gets a server's name, a protocol, and the live figures of the load test that runs on it."""
NOT_HERE = "only running servers are tested here; slipway run also measures in process"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A server whose process is not ours: no usage, no cold start. Stands in for :class:`serving.launch.Running`."""

    recipe: Recipe
    log: Path = Path("/dev/null")

    @property
    def running(self) -> bool:
        """Always True: a server that does not run shows in its answers."""
        return True

    def usage(self) -> Usage:
        return Usage(0.0, 0)

    def processes(self) -> list[psutil.Process]:
        return []

    def proxy_cpu_s(self) -> None:
        return None

    def first_answer(self) -> float | None:
        return None

    def exit_text(self) -> str:
        raise subprocess.SubprocessError("the process of a server elsewhere is not known")


class DeployedRun(Run):
    """Measures deployed servers: nothing is trained, packaged or started.

    Raises UserError for a model or an artifact that is not in the workspace.
    """

    def __init__(
        self, context: Context, spec: ModelSpec, servers: Sequence[Deployed], options: Options, steps: Steps
    ) -> None:
        super().__init__(context, spec, [server.choice for server in servers], options, steps)
        # The servers' processors are not this run's choice.
        plan = self.measuring.plan
        self.measuring.plan = replace(plan, place=Division((), plan.place.generator))
        self.servers = servers
        _, self.training = model_in(context.workspace, spec.name)
        self.artifacts = [self._known(server) for server in servers]
        self.look: Look | None = None

    def execute(self) -> None:
        """Run all jobs; on Ctrl-C, keep what is known."""
        try:
            self.measuring.rounds(self._jobs(), self.steps)
        except KeyboardInterrupt:
            self.context.cancel.set()
            self.interrupted = True

    def _jobs(self) -> list[list[Job]]:
        groups = []
        for server, artifact in zip(self.servers, self.artifacts, strict=True):
            card, variant = server.choice.card, server.choice.variant
            title = f"load-test the running server of {server.choice.name}"
            groups.append([Job(title, server.choice.name, tuple(server.urls), self._asked(server, artifact))])
            left = [name for name in card.protocols if name not in server.urls]
            self.measuring.keep(Row.at(card.name, variant, IN_PROCESS, "skipped", NOT_HERE))
            for name in left:
                self.measuring.keep(Row.at(card.name, variant, name, "skipped", "no address was given"))
        return groups

    def _asked(self, server: Deployed, artifact: Artifact) -> Work:
        def work(now: Round) -> None:
            for protocol in now.protocols:
                now.keep(self._measure(server, artifact, protocol, now))

        return work

    def _known(self, server: Deployed) -> Artifact:
        artifact, certificate = artifact_in(self.context.workspace, self.spec.name, server.choice)
        row = replace(
            start_row(server.choice),
            cached=True,
            folder=str(self.context.workspace.artifact(self.spec.name, server.choice.card.name, server.choice.variant)),
            size_bytes=artifact.manifest.size_bytes,
            files=artifact.manifest.files,
            certificate=certificate,
        )
        self.prepared[server.choice.name] = row, artifact
        return artifact

    def _measure(self, server: Deployed, artifact: Artifact, protocol: str, now: Round) -> Row:
        choice = server.choice
        where = f"running at {server.urls[protocol]}"
        row = Row.at(choice.card.name, choice.variant, protocol, "ok", None, server=where)

        def measured() -> Row:
            token = server.token()
            recipe = Recipe(server=where, argv=(), endpoints=server.urls, ready=lambda: True, token=lambda: token)
            with scratch("load") as workdir:
                elsewhere = Elsewhere(recipe)
                look = None if self.look is None else partial(self.look, choice.name, protocol)
                bench = Bench(choice.card, artifact, self.spec, now.plan, now.keep, now.step.say, look)
                return measure_protocol(bench, protocol, elsewhere, workdir)

        return attempt(row, choice.card.extra, measured)

"""The bench that experiments run on: processes in turn, what they share, and how much effort is wanted."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.environments import Environment, make
from pipelines.stages.forks import Forks
from pipelines.stages.worker import StageResult, run_stage

if TYPE_CHECKING:
    from pipelines.artifacts.workspace import Workspace
    from pipelines.results import Report


LANES = 2
"""How many processes, or claims, go on at once whose times decide nothing."""


class Effort(IntEnum):
    """How much is measured: TINY for tests (seconds, no claim to precision), QUICK, FULL."""

    TINY = 0
    QUICK = 1
    FULL = 2

    @property
    def rounds(self) -> int:
        """Rounds of an interleaved measurement; five are the fewest that give an interval, six cover 97 %."""
        return (2, 5, 6)[self]


@dataclass(frozen=True, slots=True)
class ChildCall:
    """A function ``module:function`` of keyword arguments (plain JSON), run in a fresh process.

    With ``imported``, that is a fork of one that has imported these modules, and done nothing else.
    """

    function: str
    request: Mapping[str, Any] = field(default_factory=dict)
    environment: Environment | None = None
    timeout_s: float = 600.0
    threads: int = 1
    imported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workbench:
    """Holds what a measurement works with.

    ``folder`` is for files of its own and is removed afterwards; ``kept`` is for environments; ``partial`` is where
    rounds are kept until the whole is done, so that an interrupted measurement goes on. ``log`` gets the output of
    the processes; ``tell`` shows a line of progress. ``shared`` gives the result of an experiment that several claims
    use, by the name of its module; ``reports`` gives the newest report of each model that was run in this workspace.
    ``forks`` has the processes that jobs are forked from. Once ``cancel`` is set, a process that runs is ended, and its
    job fails.
    """

    effort: Effort
    seed: int
    folder: Path
    kept: Path
    partial: Path
    log: Path
    workspace: Workspace
    shared: Callable[[str], Any]
    reports: Callable[[], Mapping[str, Report]]
    tell: Callable[[str], None] = lambda line: None  # noqa: ARG005
    cancel: threading.Event = field(default_factory=threading.Event)
    forks: Forks = field(default_factory=Forks)

    def run(self, job: ChildCall) -> StageResult:
        """Run a job in a fresh process: its value, wall and CPU seconds, peak memory.

        Raises what the function raised (UserError, MissingExtra, NotPossible, SlipwayError), and StageFailed if it
        crashed or took too long.
        """
        overlay = None if job.environment is None else make(job.environment, self.kept)
        return run_stage(
            job.function,
            dict(job.request),
            self.log,
            self.cancel,
            threads=job.threads,
            timeout_s=job.timeout_s,
            tell=self.tell,
            overlay=overlay,
            fork=(self.forks, job.imported) if job.imported else None,
        )

    def interleaved(self, name: str, jobs: Mapping[str, ChildCall], rounds: int | None = None) -> dict[str, list[Any]]:
        """Run every job once a round, each in a fresh process, each round in a new random order.

        Returns {job: values of the rounds in order}; a value is what the function returned. Rounds are kept below
        ``name`` as they are measured: after an interruption, the same measurement goes on where it was.
        """
        count = rounds or self.effort.rounds
        found: dict[str, list[Any]] = {job: [] for job in jobs}
        journal = self.partial / f"{name}.jsonl"
        journal.parent.mkdir(parents=True, exist_ok=True)
        before = _read(journal)
        with journal.open("a") as written:
            for number in range(count):
                draw = random.Random(f"{self.seed}/{name}/{number}")  # noqa: S311 - an order
                for job in draw.sample(sorted(jobs), len(jobs)):
                    key = f"{number}/{job}"
                    if key not in before:
                        self.tell(f"round {number + 1} of {count}: {job}")
                        value = self.run(jobs[job]).value
                        written.write(json.dumps([key, value]) + "\n")
                        written.flush()
                        before[key] = value
                    found[job].append(before[key])
                if self.effort is Effort.FULL:
                    self.forks.end()  # the next round has another layout of memory, and other random hashes
        return found

    def at_once(self, jobs: Mapping[str, ChildCall]) -> dict[str, Any]:
        """Run jobs whose times decide nothing, LANES at once; return {job: value}.

        Raises as :meth:`run` does, once those that run have ended, and ValueError for a job that is to be forked.
        """
        if any(job.imported for job in jobs.values()):
            raise ValueError("one process cannot fork for two jobs at once")
        with ThreadPoolExecutor(LANES) as pool:
            try:
                waiting = {name: pool.submit(self.run, job) for name, job in jobs.items()}
                wait(waiting.values(), return_when=FIRST_EXCEPTION)
                pool.shutdown(cancel_futures=True)  # after a failure, what has not begun does not
                return {name: one.result().value for name, one in waiting.items()}
            except KeyboardInterrupt:
                self.cancel.set()  # the processes end, and with them the pool
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _read(journal: Path) -> dict[str, Any]:
    """Read what was kept; a last line that was not written to its end does not count."""
    if not journal.exists():
        return {}
    text = journal.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        journal.write_text(whole)
    return dict(json.loads(line) for line in whole.splitlines())


def pairs(
    found: Mapping[str, Sequence[Any]], above: str, below: str, of: Callable[[Any], float]
) -> list[tuple[float, float]]:
    """Pair a figure of two jobs, round by round."""
    return [(of(one), of(other)) for one, other in zip(found[above], found[below], strict=True)]

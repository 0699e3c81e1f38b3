"""Measures the rows of a run in rounds: each in a new random order, with everything started anew."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines.base.progress import Step, Steps
from pipelines.fairness import machine, noise
from pipelines.fairness.affinity import confined
from pipelines.fairness.compute import breaches, visible
from pipelines.fairness.disturbed import disturbance, judged, soundest
from pipelines.fairness.order import shuffled
from pipelines.fairness.rounds import combine
from pipelines.loadtest.conditions import governor
from pipelines.measure.rows import MeasurePlan
from pipelines.results import Beat, ContainerRow, Fairness, Row, Via

Key = tuple[str, str, str]
ContainerKey = tuple[str, str, str, Via]
MAX_TRIES = 5
"""The largest number of new tries for a disturbed row, within the budget."""
PRIOR_ROWS = 5
"""Rows that the estimate of the time left counts as measured before any was, each as long as its load tests alone.

The first rows are few, and one that compiles for a minute would double the estimate. In a run of 67 rows (minilm, two
cores), the estimate after five rows was 35 % too long, without them 102 %; after half of the rows 7 and 13 %.
"""
FIRST_BEAT_S = 0.5
"""The first calibration is longer, because other processes' CPU time is counted in ticks of 10 ms."""


@dataclass(frozen=True, slots=True)
class Round:
    """The round that a job is in: its protocols in their order, and where rows are kept."""

    plan: MeasurePlan
    protocols: tuple[str, ...]
    keep: Callable[[Row], None]
    keep_contained: Callable[[ContainerRow], None]
    step: Step


Work = Callable[[Round], None]
Rank = Callable[[Sequence[Row], Mapping[Key, int]], Sequence[Row]]
"""Lists the rows that deserve another round, the most deserving first, by how many turns each row has had."""


@dataclass(frozen=True, slots=True)
class Job:
    """One start of something to measure: ``name`` is its artifact's, ``protocols`` may come in any order."""

    title: str
    name: str
    protocols: tuple[str, ...]
    work: Work


def key_of(one: ContainerRow) -> ContainerKey:
    """Return what distinguishes a container's row from all others of a run."""
    return one.row.path, one.row.variant, one.row.way, one.via


def _least_disturbed(before: Sequence[Row], now: Sequence[Row]) -> list[Row]:
    """Return the rounds with each new try in the place of the most disturbed round, if it is less disturbed."""
    rounds, tries = list(before), now[len(before) :]
    for row in tries:
        worst = max(range(len(rounds)), key=lambda at: disturbance(rounds[at]), default=None)
        if worst is None:
            rounds.append(row)
        elif row.status == "failed" or disturbance(row) < disturbance(rounds[worst]):
            rounds[worst] = row
    return rounds


def _minutes(seconds: float) -> int:
    return max(1, round(seconds / 60))


def _at_most(end: float) -> str:
    """Say how much is left of a budget that ends at ``end``, on the monotonic clock."""
    return f" (at most {_minutes(end - time.monotonic())} min left)"


class Measuring:
    """The measurements until now; every question can be asked at any time."""

    def __init__(self, plan: MeasurePlan, repeat: int, seed: int, curve_s: float = 0.0) -> None:
        self.plan, self.repeat, self.seed, self.curve_s = plan, repeat, seed, curve_s
        self._found: dict[Key, list[Row]] = {}
        self._contained: dict[ContainerKey, list[ContainerRow]] = {}
        self._order: list[list[str]] = []
        self._again: list[str] = []
        self._beats: list[Beat] = []
        self._started = time.monotonic()
        self._load_before = machine.load_average()
        self._foreign_before: float | None = None
        self._took_s: dict[str, float] = {}
        self._alone_s: dict[str, float] = {}
        self._dropped: Counter[Key] = Counter()
        self._to_do = self._done = self._known = 0
        self.journal: Callable[[Row], None] | None = None
        """Gets each row that was measured without an error, but for new tries of disturbed ones."""
        self._began = self._started
        self._end = self._started

    def keep(self, row: Row) -> None:
        """Keep a row of the current round."""
        self._found.setdefault((row.path, row.variant, row.way), []).append(row)

    def again(self, groups: Sequence[Sequence[Job]], steps: Steps, budget_s: float) -> None:
        """Measure disturbed rows again, in random order, until none is left or ``budget_s`` would be exceeded.

        Of the tries of a round, the least disturbed is kept. Raises what the jobs raise.
        """
        end = time.monotonic() + budget_s
        for number in range(self.repeat + 1, self.repeat + 1 + MAX_TRIES):
            jobs = [found for group in groups for job in group if (found := self._disturbed(job)) is not None]
            if not jobs:
                return
            for job in shuffled(jobs, self.seed, number):
                longest = max(self._took_s.values(), default=0.0)  # in place of what was measured before a resumed run
                if time.monotonic() + self._took_s.get(job.title, longest) > end:
                    continue
                before = {key: list(rounds) for key, rounds in self._found.items()}
                self._do(job, self._plan(number), number, steps, f", again{_at_most(end)}")
                self._found = {key: _least_disturbed(before.get(key, []), now) for key, now in self._found.items()}

    def further(self, groups: Sequence[Sequence[Job]], steps: Steps, budget_s: float, rank: Rank) -> None:
        """Measure rounds of the row that ``rank`` puts first, until ``budget_s`` would be exceeded or none is left.

        A round that the machine disturbed is dropped: it would not make a sound row surer. Raises what the jobs raise.
        """
        end = time.monotonic() + budget_s
        jobs = {(job.name, protocol): job for group in groups for job in group for protocol in job.protocols}
        while True:
            turns = {key: len(rounds) + self._dropped[key] for key, rounds in self._found.items()}
            for row in rank(shuffled(list(self.rows().values()), self.seed, sum(turns.values())), turns):
                job = jobs.get((f"{row.path}:{row.variant}", row.way))
                if job is not None and time.monotonic() + self._alone(job) <= end:
                    break
            else:
                return
            key, number = (row.path, row.variant, row.way), turns[row.path, row.variant, row.way] + 1
            one = replace(job, protocols=(row.way,))
            self._do(one, self._plan(number), number, steps, f", round {number}{_at_most(end)}")
            new = self._found[key][-1]
            if judged(new).measurement == "disturbed":
                self._found[key].pop()
                self._dropped[key] += 1
            elif self.journal is not None and new.status == "ok":
                self.journal(new)

    def _plan(self, number: int) -> MeasurePlan:
        """Return the plan of a round: another schedule, the same for all rows; only the first measures curves."""
        settings = [replace(one, seed=one.seed + number - 1) for one in self.plan.settings]
        return replace(self.plan, settings=settings, curve_s=self.curve_s if number == 1 else 0.0)

    def _alone(self, job: Job) -> float:
        """Return the seconds that one protocol of a job takes, with its start; the longest known if it is unknown."""
        return self._alone_s.get(job.title, max(self._alone_s.values(), default=self._load_s))

    @property
    def _load_s(self) -> float:
        """The seconds of one row's load tests, without what starts and ends them."""
        return sum(one.duration_s + one.warmup_s for one in self.plan.settings)

    def _disturbed(self, job: Job) -> Job | None:
        """Return the job with those of its protocols whose measurement is disturbed; None if there are none."""
        path, _, variant = job.name.partition(":")
        left = [
            protocol
            for protocol in job.protocols
            if any(judged(row).measurement == "disturbed" for row in self._found.get((path, variant, protocol), []))
        ]
        return replace(job, protocols=tuple(left)) if left else None

    def keep_contained(self, one: ContainerRow) -> None:
        """Keep a container's row."""
        self._contained.setdefault(key_of(one), []).append(one)

    def rounds(self, groups: Sequence[Sequence[Job]], steps: Steps, budget_s: float = 0.0) -> None:
        """Do every job once per round; the jobs of a group follow each other. Raises what they raise.

        ``budget_s`` is only told: rounds take as long as they take.
        """
        if not groups:
            return
        self._end = time.monotonic() + budget_s
        self._first_beat()
        self._to_do = self.repeat * sum(len(job.protocols) or 1 for group in groups for job in group)
        self._began, self._done = time.monotonic(), 0
        for number in range(1, self.repeat + 1):
            self._order.append([])
            which = f", round {number} of {self.repeat}" if self.repeat > 1 else ""
            for group in shuffled(groups, self.seed, number):
                for job in shuffled(group, self.seed, number, group[0].title):
                    left = self._left_of(job, number)
                    if left is not None:
                        self._do(left, self._plan(number), number, steps, which + self._left())
        self._beat()

    def _left_of(self, job: Job, number: int) -> Job | None:
        """Return the job with the protocols that this round has not measured yet; None if all are known."""
        path, _, variant = job.name.partition(":")
        known = [name for name in job.protocols if len(self._found.get((path, variant, name), [])) >= number]
        self._known += len(known)
        self._done += len(known)
        self._order[-1] += [f"{job.name} {name}" for name in known]
        if known and len(known) == len(job.protocols):
            return None
        return replace(job, protocols=tuple(name for name in job.protocols if name not in known))

    def _do(self, job: Job, plan: MeasurePlan, number: int, steps: Steps, which: str) -> None:
        self._beat()
        protocols = tuple(shuffled(job.protocols, self.seed, number, job.title))
        names = [f"{job.name} {protocol}" for protocol in protocols] or [job.name]
        if number > self.repeat:
            self._again += names
        else:
            self._order[-1] += names
        rows: list[Row] = []
        kept_at: list[float] = []

        def keep(row: Row) -> None:
            rows.append(row)
            kept_at.append(time.monotonic())
            self.keep(row)
            if self.journal is not None and row.status == "ok" and number <= self.repeat:
                self.journal(row)

        def keep_contained(one: ContainerRow) -> None:
            rows.append(one.row)
            self.keep_contained(one)

        if number <= self.repeat:
            self._done += len(protocols) or 1
        begun = time.monotonic()
        with steps.step(job.title + which) as step:
            job.work(Round(plan, protocols, keep, keep_contained, step))
            seen = [judged(row) for row in rows]
            bad = [row for row in seen if row.status != "ok"]
            disturbed = [row for row in seen if row.measurement == "disturbed"]
            note = f"{bad[0].way}: {bad[0].reason}" if bad else ""
            if disturbed and not bad:
                note = f"{disturbed[0].way} disturbed, {disturbed[0].measurement_reason}"
            step.end(bad[0].status if bad else "ok", note)
        self._took_s[job.title] = took_s = time.monotonic() - begun
        self._alone_s[job.title] = took_s - (kept_at[-1] - kept_at[0] if kept_at else 0.0)

    def _left(self) -> str:
        """Say how much of the run has been measured, and how long the rest will take if it goes on like this.

        Before anything is measured, that is the time of the load tests alone. It is never less than the budget's rest.
        """
        measured = self._done - self._known
        each_s = (time.monotonic() - self._began + PRIOR_ROWS * self._load_s) / (measured + PRIOR_ROWS)
        seconds = max(each_s * (self._to_do - self._done), self._end - time.monotonic())
        how = "about" if measured else "at least"
        return f" ({self._done} of {self._to_do} rows, {how} {_minutes(seconds)} min left)"

    def _first_beat(self) -> None:
        before = machine.read()
        self._beat(FIRST_BEAT_S)
        self._foreign_before = machine.foreign_share(before, machine.read())

    def _beat(self, seconds: float = machine.BEAT_S) -> None:
        at_s = time.monotonic() - self._started
        with confined(self.plan.place.server):
            self._beats.append(Beat(at_s, machine.beat(seconds)))

    def rows(self) -> dict[Key, Row]:
        """Return one row of all rounds, judged, for everything that was measured."""
        return {key: self._one(rounds) for key, rounds in self._found.items()}

    def contained_rows(self) -> dict[ContainerKey, ContainerRow]:
        """Return the same for the containers; the time to start is a median, too."""
        return {key: self._container(rounds) for key, rounds in self._contained.items()}

    def _container(self, rounds: Sequence[ContainerRow]) -> ContainerRow:
        starts = [one.start_s for one in rounds if one.start_s is not None]
        found = next((one for one in rounds if one.image is not None), rounds[0])
        row = self._one([one.row for one in rounds])
        return replace(found, row=row, start_s=statistics.median(starts) if starts else None)

    def _one(self, rounds: Sequence[Row]) -> Row:
        told = self.plan.threads
        checked = [replace(row, breaches=breaches(row, told), threads_seen=visible(row, told)) for row in rounds]
        return judged(combine(soundest([judged(row) for row in checked])))

    def fairness(self) -> Fairness:
        """Return the order, the place and the disturbances of the measurements."""
        contained = [one.row for each in self._contained.values() for one in each]
        measured = [row for each in self._found.values() for row in each]
        scenarios = [scenario for row in [*measured, *contained] for scenario in row.scenarios]
        checks = noise.judge(scenarios, self._beats, self._foreign_before)
        place = self.plan.place
        return Fairness(
            seed=self.seed,
            order=tuple(tuple(each) for each in self._order),
            again=tuple(self._again),
            server_cpus=place.server,
            generator_cpus=place.generator,
            cpus_apart=place.apart,
            load_before=self._load_before,
            foreign_before=self._foreign_before,
            governor=governor(),
            beats=tuple(self._beats),
            checks=checks,
            noisy=any(not check.passed for check in checks),
        )

"""Measures claims: each failure is one claim's, what is done is kept, and Ctrl-C loses nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.artifacts.store import key_of, versions
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import MissingExtra, NotPossible, SlipwayError
from pipelines.base.files import scratch, write_text
from pipelines.base.progress import Step, Steps
from pipelines.claims import CLAIMS, Claim, ClaimModule, Evidence, Ruling, Verdict, claim_module
from pipelines.claims.experiments.bench import LANES, Effort, Workbench
from pipelines.claims.experiments.statistics import off
from pipelines.claims.ledger.entries import EVERY, Entry, Ledger, experiment, key
from pipelines.fairness.hardware import this_machine
from pipelines.results import Report
from pipelines.stages.forks import Forks
from pipelines.stages.worker import StageFailed

TURNS = ("new", "none", "known")
"""The order of claims that measure no time, by their experiment: those that have one take longest, and begin."""
Reports = Callable[[], Mapping[str, Report]]


def ledger_of(workspace: Workspace) -> Ledger:
    """Return the ledger of a workspace: ``reports/claims``."""
    return Ledger(workspace.root / "reports" / "claims")


class ClaimRunner:
    """Measures claims for one ledger; experiments that several share are measured once, and kept between runs."""

    def __init__(
        self, workspace: Workspace, effort: Effort, seed: int, reports: Reports, *, again: bool = False
    ) -> None:
        """``again`` measures anew what is up to date, each experiment once."""
        self.workspace, self.effort, self.seed, self.reports = workspace, effort, seed, reports
        self.ledger = ledger_of(workspace)
        self._again = again
        self._measured: set[Path] = set()
        self._cancel = threading.Event()
        self._locks: dict[str, threading.Lock] = {}

    def measure(self, names: Sequence[str]) -> Iterator[Entry]:
        """Measure claims, yielding each entry; what is up to date is yielded as it is kept.

        Those that measure time come first, one after another, in the order given. Raises KeyboardInterrupt on Ctrl-C,
        after the processes have ended.
        """
        apart = _in_turn(names)
        titles = {name: f"claim {name} ({number} of {len(names)})" for number, name in enumerate(apart, 1)}
        beside = [name for name in apart if claim_module(name).CLAIM.beside]
        with Steps() as steps:
            for name in apart[: len(apart) - len(beside)]:
                yield self._claim(steps, name, titles[name])
            with ThreadPoolExecutor(LANES) as pool:
                waiting = [pool.submit(self._claim, steps, name, titles[name]) for name in beside]
                try:
                    for one in as_completed(waiting):
                        yield one.result()
                except BaseException:
                    self._cancel.set()  # the processes end, and with them the pool
                    pool.shutdown(cancel_futures=True)
                    raise

    def _claim(self, steps: Steps, name: str, title: str) -> Entry:
        """Measure one claim, unless what is kept is up to date. Raises StageFailed if that was cancelled."""
        module = claim_module(name)
        before = None if self._again else self._current(module.CLAIM)
        with steps.step(title) as step:
            if before is not None:
                step.end("cached", before.verdict.outcome)
                return before
            entry = self._measure(module, step)
            if self._cancel.is_set():
                raise StageFailed("cancelled")
            self.ledger.keep(entry)
            step.end("failed" if entry.reason and not _not_here(entry) else "ok", _note(entry))
            return entry

    def _current(self, claim: Claim) -> Entry | None:
        """Return a kept entry that says what measuring again would: sound, of this code, machine and effort."""
        kept = self.ledger.kept(claim.id)
        if kept is None or kept.newest.void or kept.newest.reason:
            return None
        same = kept.newest.key == key(claim) and kept.newest.machine == this_machine()
        return kept.newest if same and kept.newest.effort >= self.effort and not claim.reads_runs else None

    def _measure(self, module: ClaimModule, step: Step) -> Entry:
        claim, started, begun = module.CLAIM, datetime.now(UTC), time.monotonic()
        log = self.ledger.folder / claim.id / "log.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        evidence, reason, void = Evidence(), None, None
        try:
            with self._bench(f"{claim.id}-{key(claim)}", log, step) as bench:
                evidence = module.measure(bench)
            verdict = module.judge(evidence)
            void = _void(evidence, self.effort)
        except (MissingExtra, NotPossible) as error:
            reason, verdict = str(error), Verdict(Ruling.NOT_HERE, words="missing")
        except SlipwayError as error:
            reason, verdict = str(error), Verdict(Ruling.UNDECIDED, words="failed")
        except Exception as error:  # noqa: BLE001 - whatever a measurement does, it is one claim's
            reason, verdict = f"{type(error).__name__}: {error}", Verdict(Ruling.UNDECIDED, words="failed")
        return Entry(
            id=claim.id,
            verdict=verdict,
            evidence=evidence,
            effort=self.effort,
            seed=self.seed,
            started=started.isoformat(timespec="seconds"),
            took_s=time.monotonic() - begun,
            machine=this_machine(),
            versions=versions(
                [*claim.requires, *(one for name in claim.experiments for one in experiment(name).REQUIRES)]
            ),
            key=key(claim),
            void=void,
            reason=reason,
            log=str(log.relative_to(self.workspace.root)),
        )

    @contextmanager
    def _bench(self, name: str, log: Path, step: Step) -> Iterator[Workbench]:
        """Give a bench whose finished rounds are kept until the block has ended well."""
        partial = self.ledger.folder / ".partial" / f"{name}-{self.effort.name.lower()}"
        if self._again:
            shutil.rmtree(partial, ignore_errors=True)
        with scratch("claim") as folder, Forks() as forks:
            yield Workbench(
                effort=self.effort,
                seed=self.seed,
                folder=folder,
                kept=self.workspace.environments,
                partial=partial,
                log=log,
                workspace=self.workspace,
                shared=lambda experiment: self._shared(experiment, log, step),
                reports=self.reports,
                forks=forks,
                tell=step.say,
                cancel=self._cancel,
            )
        shutil.rmtree(partial, ignore_errors=True)

    def _shared(self, name: str, log: Path, step: Step) -> Any:
        """Return the result of an experiment; it is measured once for its code, versions, machine and effort."""
        module = experiment(name)
        parts = {"effort": self.effort.name, "machine": str(this_machine())}
        known = f"{name}-{key_of(parts, [module, *EVERY, *module.SOURCES], module.REQUIRES)}"
        kept = self.ledger.folder / ".experiments" / f"{known}.json"
        with self._locks.setdefault(name, threading.Lock()):  # of two claims that want it, one waits for the other
            if not kept.exists() or (self._again and kept not in self._measured):
                with self._bench(known, log, step) as bench:
                    result = module.run(bench)
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_text(kept, json.dumps(result))
            self._measured.add(kept)
        return json.loads(kept.read_text())


def _in_turn(names: Sequence[str]) -> list[str]:
    """Order claims: those that measure no time come last, in TURNS; those that find their experiment done end."""
    begun: set[str] = set()

    def turn(name: str) -> int:
        claim = claim_module(name).CLAIM
        known = begun.issuperset(claim.experiments)
        begun.update(claim.experiments)
        kind = "none" if not claim.experiments else "known" if known else "new"
        return TURNS.index(kind) if claim.beside else -1

    return sorted(names, key=turn)


def seed_of(text: str) -> int:
    """Make a seed of a text, such as a date."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _void(evidence: Evidence, effort: Effort) -> str | None:
    """Say which control was off; measurements in the form of tests are not held to it."""
    wrong = [f"{one.name} is {one.value:.2f}" for one in evidence.controls if off(one)]
    if effort is Effort.TINY or not wrong:
        return None
    return f"a thing compared with itself was not equal: {', '.join(wrong)}"


def _not_here(entry: Entry) -> bool:
    return entry.verdict.outcome is Ruling.NOT_HERE


def _note(entry: Entry) -> str:
    if entry.void:
        return f"void: {entry.void}"
    return f"{entry.verdict.outcome}: {entry.reason}" if entry.reason else str(entry.verdict.outcome)


def chosen(names: Sequence[str]) -> list[str]:
    """Return the ids of claims, all for no names. Raises UserError, with the nearest ids, for an unknown one."""
    return [claim_module(name).CLAIM.id for name in names] if names else list(CLAIMS)

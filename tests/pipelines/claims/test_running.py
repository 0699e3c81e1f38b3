"""ClaimRunner claims: what is kept, what is measured again, and what a failure costs."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from pipelines.artifacts.store import KEY_LENGTH
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import MissingExtra, SlipwayError, UserError
from pipelines.claims import CLAIMS, Claim, ClaimReading, Evidence, Ruling, Verdict, claim_module
from pipelines.claims.experiments.bench import Effort, Workbench
from pipelines.claims.ledger import entries
from pipelines.claims.ledger.running import ClaimRunner, _in_turn, chosen
from pipelines.claims.ledger.view import line_of, lines
from pipelines.fairness.hardware import this_machine
from pipelines.stages.worker import StageFailed

Measure = Callable[[Workbench], Evidence]


@pytest.fixture
def claim(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Measure], ModuleType]:
    """Put a claim's module in the place of D5's, or of another's."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def made(measure: Measure, name: str = "D5", **about: object) -> ModuleType:
        place = f"made_up_{name.lower()}"
        if CLAIMS[name] != place:
            (tmp_path / f"{place}.py").write_text("# a claim\n")
            importlib.invalidate_caches()
            monkeypatch.delitem(sys.modules, place, raising=False)
            monkeypatch.setitem(CLAIMS, name, place)
        module = importlib.import_module(place)
        module.CLAIM = Claim(id=name, sections=(1,), kind="partly", **about)  # type: ignore[attr-defined, arg-type]
        module.measure = measure  # type: ignore[attr-defined]
        module.judge = lambda evidence: Verdict(Ruling.NOT_HERE, number=str(len(evidence.readings)))  # type: ignore[attr-defined]
        module.plot = lambda _: None  # type: ignore[attr-defined]
        return module

    return made


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def run(workspace: Workspace, effort: Effort = Effort.QUICK, *, again: bool = False) -> entries.Entry:
    (entry,) = ClaimRunner(workspace, effort, 1, dict, again=again).measure(["D5"])
    return entry


def counted(calls: list[Workbench]) -> Measure:
    def measure(bench: Workbench) -> Evidence:
        calls.append(bench)
        return Evidence((ClaimReading("r", 1.0),), {"a": 1})

    return measure


def test_what_is_up_to_date_is_not_measured_again(claim: Callable[..., ModuleType], workspace: Workspace) -> None:
    calls: list[Workbench] = []
    module = claim(counted(calls))
    first = run(workspace)
    assert run(workspace) == first
    assert len(calls) == 1
    assert run(workspace, Effort.FULL).effort is Effort.FULL  # more effort was asked for
    assert run(workspace, Effort.QUICK).effort is Effort.FULL
    assert len(calls) == 2
    run(workspace, Effort.FULL, again=True)
    assert len(calls) == 3
    Path(str(module.__file__)).write_text("# another claim\n")
    assert line_of(entries.Ledger(workspace.root / "reports" / "claims"), "D5").stale
    run(workspace, Effort.FULL)
    assert len(calls) == 4


def test_what_was_measured_on_another_processor_is_stale(
    claim: Callable[..., ModuleType], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(counted([]))
    run(workspace)
    ledger = entries.Ledger(workspace.root / "reports" / "claims")
    assert not line_of(ledger, "D5").stale
    other = replace(this_machine(), cpu="another")
    monkeypatch.setattr("pipelines.claims.ledger.view.this_machine", lambda: other)
    assert line_of(ledger, "D5").stale


def test_a_claim_that_reads_runs_is_read_anew(claim: Callable[..., ModuleType], workspace: Workspace) -> None:
    calls: list[Workbench] = []
    claim(counted(calls), reads_runs=True)
    run(workspace)
    run(workspace)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("error", "outcome", "failed"),
    [
        (MissingExtra("no such library. This brings it: make setup"), Ruling.NOT_HERE, False),
        (SlipwayError("the outputs differ"), Ruling.UNDECIDED, True),
        (ZeroDivisionError("division by zero"), Ruling.UNDECIDED, True),
    ],
)
def test_a_failure_is_the_verdict_and_no_old_result_stands_in_for_it(
    claim: Callable[..., ModuleType], workspace: Workspace, error: Exception, outcome: Ruling, failed: bool
) -> None:
    claim(counted([]))
    run(workspace)

    def measure(bench: Workbench) -> Evidence:
        raise error

    claim(measure)
    entry = run(workspace, again=True)
    assert (entry.verdict.outcome, entry.evidence.readings) == (outcome, ())
    line = line_of(ClaimRunner(workspace, Effort.QUICK, 1, dict).ledger, "D5")
    assert line.outcome is outcome
    assert (line.failed is not None) is failed
    assert line.says is not None
    assert str(error) in line.says.en
    assert str(error) in line.says.zh


def test_a_void_session_leaves_the_last_sound_result(claim: Callable[..., ModuleType], workspace: Workspace) -> None:
    claim(counted([]))
    sound = run(workspace)
    claim(lambda _: Evidence(controls=(ClaimReading("torch to itself", 1.3, "x", 1.2, 1.4),)))
    entry = run(workspace, again=True)
    assert entry.void == "a thing compared with itself was not equal: torch to itself is 1.30"
    ledger = ClaimRunner(workspace, Effort.QUICK, 1, dict).ledger
    line = line_of(ledger, "D5")
    assert (line.outcome, line.number, line.void) == (sound.verdict.outcome, "1", entry.void)
    kept = ledger.kept("D5")
    assert kept is not None
    assert (kept.newest, kept.sound) == (entry, sound)
    assert run(workspace, Effort.TINY, again=True).void is None  # tests are not held to it


def test_a_void_session_without_a_sound_one_is_undecided(
    claim: Callable[..., ModuleType], workspace: Workspace
) -> None:
    claim(lambda _: Evidence(controls=(ClaimReading("x to x", 0.7, "x", 0.6, 0.8),)))
    run(workspace)
    line = line_of(ClaimRunner(workspace, Effort.QUICK, 1, dict).ledger, "D5")
    assert line.outcome is Ruling.UNDECIDED
    assert line.says is not None
    assert "x to x" in line.says.en


def test_an_interrupt_keeps_what_is_done(claim: Callable[..., ModuleType], workspace: Workspace) -> None:
    def measure(bench: Workbench) -> Evidence:
        bench.partial.mkdir(parents=True)
        (bench.partial / "rounds.jsonl").write_text("[]\n")
        raise KeyboardInterrupt

    claim(measure)
    with pytest.raises(KeyboardInterrupt):
        run(workspace)
    seen: list[bool] = []

    def resumed(bench: Workbench) -> Evidence:
        seen.append((bench.partial / "rounds.jsonl").exists())
        return Evidence()

    claim(resumed)
    run(workspace)
    run(workspace, again=True)
    assert seen == [True, False]  # kept for the next run, removed when it is whole
    assert not list(workspace.root.glob("reports/claims/.partial/*"))


def test_claims_that_measure_no_time_are_measured_beside_each_other_and_last(
    claim: Callable[..., ModuleType], workspace: Workspace
) -> None:
    together, begun = threading.Barrier(2, timeout=30), []

    def timed(bench: Workbench) -> Evidence:
        begun.append("D5")
        return Evidence()

    def untimed(bench: Workbench) -> Evidence:
        together.wait()  # fails if the other one is not measured meanwhile
        begun.append("other")
        return Evidence()

    claim(untimed, "E7", beside=True)
    claim(timed)
    claim(untimed, "E8", beside=True)
    found = list(ClaimRunner(workspace, Effort.QUICK, 1, dict).measure(["E7", "D5", "E8"]))
    assert begun == ["D5", "other", "other"]
    assert {one.id: one.reason for one in found} == {"E7": None, "D5": None, "E8": None}


def test_of_claims_measured_beside_each_other_the_experiments_begin_and_their_readers_end() -> None:
    assert _in_turn(["D2", "D4", "S9", "P4", "E5", "H5"]) == ["S9", "D2", "P4", "H5", "E5", "D4"]


def test_an_interrupt_ends_claims_that_are_measured_beside_each_other(
    claim: Callable[..., ModuleType], workspace: Workspace
) -> None:
    running = threading.Event()

    def waits(bench: Workbench) -> Evidence:
        running.set()
        assert bench.cancel.wait(30)
        raise StageFailed("cancelled")

    def ends(bench: Workbench) -> Evidence:
        return Evidence()

    claim(waits, "E7", beside=True)
    claim(ends, "E8", beside=True)
    measuring = ClaimRunner(workspace, Effort.QUICK, 1, dict)
    found = measuring.measure(["E7", "E8"])
    assert next(found).id == "E8"
    assert running.wait(30)
    with pytest.raises(KeyboardInterrupt):
        found.throw(KeyboardInterrupt)
    assert measuring.ledger.kept("E8") is not None
    assert measuring.ledger.kept("E7") is None  # that it was stopped is no result


def test_an_experiment_that_claims_share_is_measured_once(
    claim: Callable[..., ModuleType], workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs: list[int] = []
    (tmp_path / "made_up_experiment.py").write_text("REQUIRES = ()\nSOURCES = ()\n")
    shared = importlib.import_module("made_up_experiment")

    def experiment(bench: Workbench) -> Mapping[str, int]:
        runs.append(bench.seed)
        return {"value": len(runs)}

    shared.run = experiment  # type: ignore[attr-defined]
    for module in (entries, sys.modules["pipelines.claims.ledger.running"]):
        monkeypatch.setattr(module, "experiment", lambda _: shared)
    seen: list[int] = []

    def measure(bench: Workbench) -> Evidence:
        seen.extend((bench.shared("made_up")["value"], bench.shared("made_up")["value"]))
        return Evidence()

    claim(measure, experiments=("made_up",))
    run(workspace)
    run(workspace, again=True)
    assert seen == [1, 1, 2, 2]


def test_a_damaged_entry_counts_as_none(claim: Callable[..., ModuleType], workspace: Workspace) -> None:
    claim(counted([]))
    run(workspace)
    ledger = ClaimRunner(workspace, Effort.QUICK, 1, dict).ledger
    for name in ("newest", "sound"):
        path = ledger.folder / "D5" / f"{name}.json"
        path.write_text(path.read_text()[:-20])
    assert line_of(ledger, "D5").outcome is None
    assert run(workspace).reason is None


def test_an_entry_is_plain_json(claim: Callable[..., ModuleType], workspace: Workspace) -> None:
    claim(counted([]))
    entry = run(workspace)
    content = json.loads((workspace.root / "reports" / "claims" / "D5" / "newest.json").read_text())
    assert content["evidence"]["readings"][0]["name"] == "r"
    assert content["machine"]["cores"] == entry.machine.cores


def test_every_claim_is_there_in_the_order_of_the_article(workspace: Workspace) -> None:
    assert len(CLAIMS) == 40
    assert [line.id for line in lines(ClaimRunner(workspace, Effort.QUICK, 1, dict).ledger)] == list(CLAIMS)
    for name in CLAIMS:
        assert claim_module(name).CLAIM.id == name
        assert claim_module(name.lower()) is claim_module(name)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_bound_to_code_that_exists(name: str) -> None:
    claim = claim_module(name).CLAIM
    assert len(entries.key(claim)) == KEY_LENGTH
    assert all(callable(entries.experiment(one).run) for one in claim.experiments)


def test_an_unknown_claim_has_its_nearest_names() -> None:
    assert chosen(["p1", "S4"]) == ["P1", "S4"]
    with pytest.raises(UserError, match=r"unknown claim: 'P9'\. Did you mean .*p5"):
        chosen(["P9"])

"""The results after an interruption: every row that was measured until then, in containers too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.spec import spec_of
from pipelines.artifacts.workspace import Workspace
from pipelines.base.progress import Steps
from pipelines.fairness.affinity import Division
from pipelines.fairness.disturbed import marked
from pipelines.fairness.rounds import changed
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.statistics.summary import nothing_measured
from pipelines.measure import container, rows
from pipelines.measure.rounds import Job, Measuring, Round
from pipelines.measure.rows import Bench, MeasurePlan
from pipelines.paths import path_module
from pipelines.paths.choose import Choice
from pipelines.results import ContainerRow, Row, Scenario, Via
from pipelines.run.options import Options
from pipelines.run.pipeline import Run
from pipelines.run.prepare import Context
from serving.launch import Recipe

SPEC = spec_of("mnist_cnn")
PLAN = MeasurePlan([LoadSettings("single-stream")], place=Division((), ()))
LOAD = nothing_measured(LoadSettings("single-stream"), "-")
CARD = path_module("onnxruntime").CARD
CHOICE = Choice(CARD, "pytorch")
PORT: Via = "published port"
ADDRESS: Via = "container address"


def in_container(protocol: str, via: Via = PORT, start_s: float | None = 2.0, **changes: Any) -> ContainerRow:
    row = Row.at("onnxruntime", "pytorch", protocol, **({"status": "ok", "reason": None} | changes))
    return ContainerRow(via, row, None if start_s is None else "slipway/open-inference", 644, start_s)


def job(work: Any) -> Job:
    return Job("measure", "onnxruntime:pytorch", (), work)


def a_run(folder: Path, choices: list[Choice], options: Options) -> Run:
    return Run(Context(Workspace(folder), folder), spec_of("mnist_cnn"), choices, options, Steps(quiet=True))


def test_a_run_has_a_report_before_it_has_begun(tmp_path: Path) -> None:
    run = a_run(tmp_path, [CHOICE], Options())
    report = run.report()
    assert report.training is None
    assert [(one.status, one.reason) for one in (*report.artifacts, *report.rows)] == [
        ("skipped", "interrupted before it was measured")
    ] * (1 + 1 + len(CARD.protocols))


def test_rows_of_a_container_that_was_interrupted_are_kept_and_the_rest_is_skipped(tmp_path: Path) -> None:
    choices = [CHOICE, Choice(CARD, "keras")]
    run = a_run(tmp_path, choices, Options(containers=True))

    def work(now: Round) -> None:
        # In the order of measuring: first all protocols one way, then the other.
        now.keep_contained(in_container("open-inference-grpc"))
        now.keep_contained(in_container("open-inference-rest", ADDRESS))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.measuring.rounds([[job(work)]], Steps(quiet=True))
    found = run.report().containers
    assert [(one.row.variant, one.row.way, one.via) for one in found] == [
        (choice.variant, protocol, via) for choice in choices for protocol in CARD.protocols for via in (PORT, ADDRESS)
    ]
    known = {("open-inference-grpc", PORT), ("open-inference-rest", ADDRESS)}
    for one in found:
        is_known = one.row.variant == "pytorch" and (one.row.way, one.via) in known
        assert (one.row.status, one.image is not None) == (("ok", True) if is_known else ("skipped", False))


def test_the_facts_of_a_container_are_those_of_the_rounds_that_had_one() -> None:
    rounds = iter([in_container("rest", start_s=4.0), in_container("rest", start_s=2.0)])
    lost = in_container("rest", start_s=None, status="failed", reason="no image")
    measuring = Measuring(PLAN, repeat=3, seed=1)
    measuring.rounds([[job(lambda now: now.keep_contained(next(rounds, lost)))]], Steps(quiet=True))
    (one,) = measuring.contained_rows().values()
    assert (one.image, one.start_s, one.row.rounds) == ("slipway/open-inference", 3.0, 3)
    assert (one.row.status, one.row.reason) == ("failed", "round 3 of 3: no image")


def test_every_protocol_of_a_container_is_kept_before_the_next_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interruption comes while the second protocol is measured; no engine is needed to see what is kept."""
    image = SimpleNamespace(name="slipway/open-inference", size_bytes=644)
    published = {name: f"http://127.0.0.1:{n}" for n, name in enumerate(CARD.protocols, start=1)}
    recipe = Recipe(server="here", argv=(), endpoints=published, ready=lambda: True)
    asked: list[str] = []
    artifact = SimpleNamespace(name="onnxruntime:pytorch", manifest=SimpleNamespace(variant="pytorch"))

    @contextmanager
    def started(*_: Any, **__: Any) -> Iterator[Any]:
        yield SimpleNamespace(recipe=recipe, image=image, ready_s=1.0)

    def measure_protocol(bench: Bench, protocol: str, *_: Any, url: str) -> Row:
        asked.append(url)
        if protocol == CARD.protocols[1]:
            bench.keep(Row.at("onnxruntime", "pytorch", protocol, "skipped", "interrupted", scenarios=(LOAD,)))
            raise KeyboardInterrupt
        return Row.at("onnxruntime", "pytorch", protocol, "ok", None)

    monkeypatch.setattr(container, "started", started)
    monkeypatch.setattr(container, "measure_protocol", measure_protocol)
    found: list[ContainerRow] = []
    with pytest.raises(KeyboardInterrupt):
        container.measure_contained(Bench(CARD, artifact, SPEC, PLAN), tmp_path, found.append)  # type: ignore[arg-type]
    assert [(one.via, one.row.way, one.row.status, one.image) for one in found] == [
        (PORT, CARD.protocols[0], "ok", image.name),
        (PORT, CARD.protocols[1], "skipped", image.name),
    ]
    assert asked == [published[name] for name in CARD.protocols[:2]]


def test_a_container_is_asked_at_both_of_its_addresses_and_its_recipe_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = dict.fromkeys(CARD.protocols, "http://127.0.0.1:1")
    direct = dict.fromkeys(CARD.protocols, "http://172.17.0.2:8080")
    recipe = Recipe(server="here", argv=(), endpoints=published, ready=lambda: True)
    image = SimpleNamespace(name="slipway/open-inference", size_bytes=644)
    server = SimpleNamespace(recipe=recipe, image=image, ready_s=1.0, direct_endpoints=lambda: direct)
    artifact = SimpleNamespace(name="onnxruntime:pytorch", manifest=SimpleNamespace(variant="pytorch"))
    asked: list[tuple[str, Recipe, str]] = []

    @contextmanager
    def started(*_: Any, **__: Any) -> Iterator[Any]:
        yield server

    def measure_protocol(bench: Bench, protocol: str, server: Any, _: Path, url: str) -> Row:
        asked.append((protocol, server.recipe, url))
        return bench.row(protocol)

    monkeypatch.setattr(container, "started", started)
    monkeypatch.setattr(container, "measure_protocol", measure_protocol)
    found: list[ContainerRow] = []
    container.measure_contained(Bench(CARD, artifact, SPEC, PLAN), tmp_path, found.append)  # type: ignore[arg-type]
    assert [(one.via, one.row.status) for one in found] == [(via, "ok") for via in (PORT, ADDRESS) for _ in direct]
    assert asked == [(name, recipe, at[name]) for at in (published, direct) for name in CARD.protocols]
    assert server.recipe is recipe


def test_a_server_that_dies_when_it_is_ready_is_not_started_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []
    artifact = SimpleNamespace(name="onnxruntime:pytorch", manifest=SimpleNamespace(variant="pytorch"))

    @contextmanager
    def started(*_: Any, **__: Any) -> Iterator[Any]:
        starts.append(1)
        yield SimpleNamespace(running=False)

    def measure_protocol(bench: Bench, protocol: str, *_: Any) -> Row:
        return bench.row(protocol, "failed", "it is gone")

    monkeypatch.setattr(rows, "started", started)
    monkeypatch.setattr(rows, "measure_protocol", measure_protocol)
    found: list[Row] = []
    bench = Bench(CARD, artifact, SPEC, PLAN, found.append)  # type: ignore[arg-type]
    rows.measure_served(bench, tmp_path, CARD.protocols)
    assert [row.way for row in found] == list(CARD.protocols)
    assert len(starts) == len(CARD.protocols)


def load(*, disturbed: bool) -> Scenario:
    """A load test that would be sound, but for the time that others took."""
    good = {"valid": True, "invalid_because": None, "invalid_causes": (), "load.requests": 100, "load.errors": 0}
    return marked(changed(LOAD, good | {"server.foreign_cpu_share": 0.4 if disturbed else 0.0}))


def kept(*turns: bool) -> tuple[Job, list[int]]:
    """A job whose turns are disturbed or not, and a list that grows with each turn."""
    left, done = list(turns), []

    def work(now: Round) -> None:
        done.append(1)
        scenario = load(disturbed=left.pop(0))
        now.keep(Row.at("onnxruntime", "pytorch", "rest", "ok", None, scenarios=(scenario,)))

    return Job("measure", "onnxruntime:pytorch", ("rest",), work), done


@pytest.mark.parametrize(
    ("turns", "times", "measurement"),
    [((False,), 1, "sound"), ((True, True, False), 3, "sound"), ((True,) * 6, 6, "disturbed")],
)
def test_disturbed_rows_are_measured_again(turns: tuple[bool, ...], times: int, measurement: str) -> None:
    job, done = kept(*turns)
    measuring = Measuring(PLAN, repeat=1, seed=1)
    measuring.rounds([[job]], Steps(quiet=True))
    measuring.again([[job]], Steps(quiet=True), budget_s=60)
    (row,) = measuring.rows().values()
    assert (len(done), row.measurement, row.status, row.rounds) == (times, measurement, "ok", 1)


def test_without_budget_nothing_is_measured_again() -> None:
    job, done = kept(True, False)
    measuring = Measuring(PLAN, repeat=1, seed=1)
    measuring.rounds([[job]], Steps(quiet=True))
    measuring.again([[job]], Steps(quiet=True), budget_s=0)
    assert (len(done), next(iter(measuring.rows().values())).measurement) == (1, "disturbed")


def first(rows: Sequence[Row], turns: Mapping[tuple[str, str, str], int]) -> list[Row]:
    """Ranks as they come, up to four turns each."""
    return [row for row in rows if turns[row.path, row.variant, row.way] < 4]


def test_what_is_left_of_a_budget_goes_to_further_rounds_and_disturbed_ones_are_dropped() -> None:
    job, done = kept(False, True, False, False)
    seeds: list[int] = []
    work = job.work

    def noted(now: Round) -> None:
        seeds.append(now.plan.settings[0].seed)
        assert now.protocols == ("rest",)
        work(now)

    groups = [[replace(job, protocols=("rest",), work=noted)]]
    measuring = Measuring(PLAN, repeat=1, seed=1)
    journal: list[Row] = []
    measuring.journal = journal.append
    measuring.rounds(groups, Steps(quiet=True))
    measuring.again(groups, Steps(quiet=True), budget_s=60)
    measuring.further(groups, Steps(quiet=True), 60, first)
    (row,) = measuring.rows().values()
    assert (len(done), row.measurement, row.rounds, len(journal)) == (4, "sound", 3, 3)
    assert len(set(seeds)) == 4
    assert measuring.fairness().again == ("onnxruntime:pytorch rest",) * 3


def test_a_further_round_that_fails_fails_the_row() -> None:
    rounds = iter([("ok", None), ("failed", "it died")])

    def work(now: Round) -> None:
        now.keep(Row.at("onnxruntime", "pytorch", "rest", *next(rounds), scenarios=(load(disturbed=False),)))

    job = Job("measure", "onnxruntime:pytorch", ("rest",), work)
    measuring = Measuring(PLAN, repeat=1, seed=1)
    measuring.rounds([[job]], Steps(quiet=True))
    measuring.further([[job]], Steps(quiet=True), 60, lambda rows, _: [row for row in rows if row.status == "ok"])
    (row,) = measuring.rows().values()
    assert (row.status, row.reason) == ("failed", "round 2 of 2: it died")


def test_a_row_that_does_not_fit_into_the_budget_leaves_it_to_another() -> None:
    """One row takes longer than the budget, the other hardly any time: it gets all further rounds."""
    done: list[str] = []

    def of(path: str) -> Job:
        def work(now: Round) -> None:
            done.append(path)
            now.keep(Row.at(path, "fp32", "rest", "ok", None, scenarios=(load(disturbed=False),)))

        return Job(path, f"{path}:fp32", ("rest",), work)

    jobs = [of("slow"), of("quick")]
    measuring = Measuring(PLAN, repeat=1, seed=1)
    measuring.rounds([jobs], Steps(quiet=True))
    measuring._alone_s["slow"] = 1000.0

    def slow_first(rows: Sequence[Row], turns: Mapping[tuple[str, str, str], int]) -> list[Row]:
        return sorted(first(rows, turns), key=lambda row: row.path == "quick")

    measuring.further([jobs], Steps(quiet=True), 100, slow_first)
    assert done[2:] == ["quick"] * 3


def test_a_resumed_run_counts_the_further_rounds_that_it_had() -> None:
    job, done = kept(False, False)
    measuring = Measuring(PLAN, repeat=1, seed=1)
    for _ in range(2):
        measuring.keep(Row.at("onnxruntime", "pytorch", "rest", "ok", None, scenarios=(load(disturbed=False),)))
    measuring.rounds([[job]], Steps(quiet=True))
    assert done == []
    measuring.further([[job]], Steps(quiet=True), 60, first)
    assert (len(done), next(iter(measuring.rows().values())).rounds) == (2, 4)


def test_progress_tells_what_is_left(capfd: pytest.CaptureFixture[str]) -> None:
    jobs = [Job(f"measure {name}", name, ("rest", "grpc"), lambda _now: None) for name in "ab"]
    plan = replace(PLAN, settings=[replace(PLAN.settings[0], duration_s=50.0, warmup_s=10.0)])

    def said(budget_s: float) -> list[str]:
        with Steps() as steps:
            Measuring(plan, repeat=2, seed=1).rounds([jobs], steps, budget_s)
        told = [line for line in capfd.readouterr().err.splitlines() if line.endswith(" ...")]
        assert "round 1 of 2" in told[0]
        return [line.partition("(")[2] for line in told]

    first = "0 of 8 rows, at least 8 min left) ..."
    expected = [(2, 4), (4, 2), (6, 1)]  # as if five rows had taken a minute each, and all others no time
    assert said(0) == [first, *(f"{done} of 8 rows, about {left} min left) ..." for done, left in expected)]
    assert said(1800)[1:] == [f"{done} of 8 rows, about 30 min left) ..." for done in (2, 4, 6)]

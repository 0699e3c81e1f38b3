"""Claims about speed and memory (D1, D3, P1, P2, P3, P4, H3): their rules, and their experiments in the tiny form."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import SlipwayError
from pipelines.claims import ClaimReading, Evidence, Ruling, Verdict, claim_module
from pipelines.claims.experiments import memory, steps
from pipelines.claims.experiments.bench import ChildCall, Effort, Workbench
from pipelines.claims.experiments.nets import readings, shapes
from pipelines.claims.experiments.nets.child import imported
from pipelines.claims.experiments.statistics import EFFECT
from pipelines.claims.texts import catalogue
from pipelines.claims.walls import WALLS, walls

CELL = re.compile(r"^[a-z-]+/[a-z-]+ (train|infer\d+) ")
"""Ratios of one cell, not of several."""
LOW, HIGH = 1 / (1 + EFFECT), 1 + EFFECT
ROUNDS = 8
EQUAL = {"first": 0.0, "warm": 0.0, "answers": 0.0}


def reading(name: str, value: float, spread: float = 0.01) -> ClaimReading:
    """A ratio whose interval is narrow, or spans as much as ``spread``."""
    return ClaimReading(name, value, "x", value * (1 - spread), value * (1 + spread), 0.99, ((value, 1.0),) * ROUNDS)


def some(above: str, below: str, *values: float, cells: Sequence[str] = ("train a", "infer1 b")) -> list[ClaimReading]:
    return [reading(f"{above}/{below} {cell}", value) for cell, value in zip(cells, values, strict=False)]


def judged(claim: str, evidence: Evidence) -> Verdict:
    """A claim's verdict; its sentence has a text in both languages, and everything fits into a plot."""
    module = claim_module(claim)
    verdict = module.judge(evidence)
    says = catalogue()[claim].says(verdict)
    assert "{" not in says.en + says.zh
    assert verdict.number
    assert module.plot(evidence) is not None
    return verdict


@pytest.mark.parametrize(
    ("graph", "saved", "outcome"),
    [
        ((0.1, 0.4), (0.1, LOW * 0.98), Ruling.HOLDS),
        ((0.1, 0.4), (0.1, LOW * 1.02), Ruling.DEPENDS),
        ((LOW * 1.02, 1.2), (1.0, 1.0), Ruling.DOES_NOT_HOLD),
        ((0.1, 0.4), (0.1, LOW), Ruling.UNDECIDED),
    ],
)
def test_d1_wants_graph_and_saved_model_faster_everywhere(
    graph: tuple[float, float], saved: tuple[float, float], outcome: Ruling
) -> None:
    found = [*some("tf-function", "tf-eager", *graph), *some("saved", "tf-eager", *saved)]
    verdict = judged("D1", Evidence((*found, *some("predict", "tf-eager", 4.0, 3.0))))
    assert verdict.outcome is outcome
    assert verdict.values["predict"] == "3.00–4.00"  # shown, and it changes nothing


def compiled(plain: Sequence[float], equal: Sequence[float], breaks: int = 0) -> Evidence:
    found = [*some("torch-compile", "torch-eager", *plain), *some("torch-compile", "torch-channels-last", *equal)]
    found.append(ClaimReading("break-even a", 900, "steps", 800, 1000))
    costs = {"compiling, CPU seconds": {"a": [8.0, 9.0, 10.0], "b": []}, "a step, CPU seconds": {"a": [0.03, 0.02]}}
    return Evidence(tuple(found), {"graph breaks": breaks, "no break-even": ["b"], **costs})


@pytest.mark.parametrize(
    ("evidence", "key"),
    [
        (compiled((0.6, LOW * 0.98), (0.8, 0.8)), "holds"),
        (compiled((0.6, LOW * 0.98), (0.8, 0.8), breaks=1), "depends"),
        (compiled((0.6, LOW * 1.02), (0.8, 1.0)), "depends"),
        (compiled((0.6, LOW), (0.8, 1.0)), "undecided"),
        (compiled((0.6, 0.8), (1.0, LOW * 1.02)), "layout"),
        (compiled((0.6, 1.1), (1.0, LOW * 1.02)), "layout"),
        (compiled((1.0, LOW * 1.02), (1.0, 1.0)), "does-not-hold"),
    ],
)
def test_d3_wants_compiled_faster_everywhere_and_not_by_its_layout(evidence: Evidence, key: str) -> None:
    verdict = judged("D3", evidence)
    assert verdict.key == key
    assert verdict.values["pays"] == "900–900"


def test_d3_draws_when_compiling_has_paid() -> None:
    plot = claim_module("D3").plot(compiled((0.6, 0.6), (0.8, 0.8)))
    assert plot.marks == {"a pays": 900}
    (curve,) = plot.series.values()
    assert all(share == pytest.approx((9 + 0.02 * count) / (0.03 * count)) for count, share in curve)
    assert [share > 1 for count, share in curve] == [count < 900 for count, _ in curve]  # 9 s, at 0.01 s a step
    assert curve[-1][1] == pytest.approx(2 / 3, rel=0.01)


def test_wall_time_stands_beside_what_is_judged() -> None:
    found = {"wall": {"slow": {"train a": [4.0, 9.0, 5.0]}, "fast": {"train a": [2.0, 3.0, 2.0]}}}
    told = some("slow", "fast", 1.9, 1.9, cells=("train a", "train b"))
    assert walls(found, [*told, reading("slow/other train a", 1.0)]) == {"slow/fast train a": 2.5}


def test_d3_a_gain_without_pictures_is_not_that_of_the_layout() -> None:
    """The transformer has no layout: where it gains by compiling, the gain cannot be had by laying out pictures."""
    evidence = compiled((0.6, 0.8), (1.0, 1.0))
    assert judged("D3", evidence).key == "layout"
    gains = reading("torch-compile/torch-eager train transformer", 0.8)
    verdict = judged("D3", Evidence((*evidence.readings, gains), evidence.facts))
    assert verdict.key == "holds"
    assert verdict.values["equal"] == "1.00"


def sizes(own: Sequence[float], equal: Sequence[float], rising: tuple[float | None, float | None]) -> Evidence:
    found = [reading(f"tf-function/torch-eager train {net}", 0.5) for net in ("cnn4", "cnn8")]
    found += some("torch-compile", "torch-eager", 0.8, 0.8, cells=("train cnn4", "train cnn8"))
    found += some("tf-function", "tf-eager", *own, cells=("train cnn4", "train cnn8"))
    found += some("tf-function", "torch-channels-last", *equal, cells=("train cnn4", "train cnn8"))
    found.append(reading("tf-function/tf-eager, for ten times the work", 1.3))
    pairs = zip(("tf-function/tf-eager", "tf-function/torch-channels-last"), rising, strict=True)
    signs = {name: sign for name, sign in pairs if sign is not None}
    return Evidence(
        tuple(found), {"work": {"cnn4": 1e7, "cnn8": 4e7}, "share of draws in which the ratio rises": signs}
    )


@pytest.mark.parametrize(
    ("evidence", "key"),
    [
        (sizes((0.2, 0.3), (0.8, LOW * 0.98), (0.10, 0.0)), "holds"),
        (sizes((0.2, 0.3), (0.8, LOW * 0.98), (0.11, 0.0)), "depends"),
        (sizes((0.2, 0.3), (0.8, LOW * 0.98), (None, None)), "depends"),
        (sizes((0.2, 0.3), (0.8, 0.8), (0.90, 0.90)), "small"),
        (sizes((0.2, 0.3), (0.8, 1.0), (1.0, 0.90)), "small"),
        (sizes((0.2, 0.3), (0.8, 1.0), (1.0, 0.89)), "depends"),
        (sizes((0.2, 0.3), (0.8, LOW), (0.0, 0.0)), "undecided"),
        (sizes((1.0, LOW * 1.02), (1.0, 1.2), (0.0, 0.0)), "does-not-hold"),
    ],
)
def test_p1_wants_graphs_faster_and_more_so_in_larger_networks(evidence: Evidence, key: str) -> None:
    verdict = judged("P1", evidence)
    assert verdict.key == key
    assert verdict.values["own_slope"] == "1.30"


def test_p1_compares_with_the_layout_of_tensorflow_where_a_network_has_one() -> None:
    """The transformer has no layout: its comparison with PyTorch as it comes counts. A CNN's does not."""
    evidence = sizes((0.2, 0.3), (0.8, 0.8), (0.0, 0.0))
    slower = reading("tf-function/torch-eager train transformer", 1.0)
    assert judged("P1", evidence).outcome is Ruling.HOLDS
    assert judged("P1", Evidence((*evidence.readings, slower), evidence.facts)).outcome is Ruling.DEPENDS


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ((0.5, LOW * 0.98), Ruling.HOLDS),
        ((0.5, LOW * 1.02), Ruling.DEPENDS),
        ((0.5, LOW), Ruling.UNDECIDED),
        ((LOW * 1.02, 7.0), Ruling.NOT_HERE),
    ],
)
def test_p2_is_not_refuted_on_a_processor(values: tuple[float, float], outcome: Ruling) -> None:
    assert judged("P2", Evidence(tuple(some("tf-xla", "tf-function", *values)))).outcome is outcome


def against_tensorflow(default: Sequence[float], equal: Sequence[float], narrowed: Sequence[float]) -> Evidence:
    found = [
        *some("torch-eager", "tf-function", *default),
        *some("torch-channels-last", "tf-function", *equal),
        *some("torch-compile", "torch-eager", *narrowed),
        *some("torch-compile", "tf-function", 1.0, 1.0),
    ]
    return Evidence(tuple(found))


@pytest.mark.parametrize(
    ("evidence", "key"),
    [
        (against_tensorflow((1.5, HIGH * 1.02), (1.2, 1.3), (0.7, LOW * 0.98)), "holds"),
        (against_tensorflow((1.5, HIGH * 1.02), (1.2, 1.3), (0.7, LOW * 1.02)), "depends"),
        (against_tensorflow((1.5, HIGH * 1.02), (1.2, 1.3), (0.7, LOW)), "undecided"),
        (against_tensorflow((1.5, HIGH * 1.02), (1.2, 1.0), (0.7, 0.7)), "depends"),
        (against_tensorflow((1.5, HIGH * 0.98), (1.2, 1.3), (0.7, 0.7)), "depends"),
        (against_tensorflow((1.5, 1.0), (HIGH * 0.98, 0.9), (0.7, 0.7)), "layout"),
        (against_tensorflow((1.5, HIGH), (1.2, 1.3), (0.7, 0.7)), "undecided"),
        (against_tensorflow((HIGH * 0.98, 0.8), (0.9, 0.9), (0.7, 0.7)), "does-not-hold"),
    ],
)
def test_p3_wants_pytorch_slower_with_either_layout_and_compiling_faster(evidence: Evidence, key: str) -> None:
    assert judged("P3", evidence).key == key


def test_p3_a_network_without_pictures_is_slower_with_any_layout() -> None:
    evidence = against_tensorflow((1.5, 1.0), (1.0, 0.9), (0.7, 0.7))
    assert judged("P3", evidence).key == "layout"
    slower = reading("torch-eager/tf-function train transformer", 1.5)
    assert judged("P3", Evidence((*evidence.readings, slower))).key == "depends"


def test_without_pictures_that_were_laid_out_nothing_is_known_of_the_layout() -> None:
    default = against_tensorflow((1.5, 1.5), (), (0.7, 0.7))
    assert judged("P3", default).outcome is Ruling.UNDECIDED


def memories(saves: Sequence[float], costs: Sequence[float], helps: Sequence[float]) -> Evidence:
    columns = {"tf-function/tf-eager": saves, "tf-function/torch-eager": costs, "torch-aot/torch-eager": helps}
    found = [
        ClaimReading(name, float(np.median(values)), "x", raw=tuple((value, 1.0) for value in values))
        for name, values in columns.items()
    ]
    return Evidence((*found, ClaimReading("tf-eager", 0.5, "MB a row")))


SAVED, JUST, NOT = (0.5, 0.6, 0.89), (0.5, 0.6, 0.91), (0.91, 1.2, 1.0)


@pytest.mark.parametrize(
    ("evidence", "outcome", "number"),
    [
        (memories(SAVED, SAVED, SAVED), Ruling.HOLDS, "3 of 3"),
        (memories(SAVED, SAVED, NOT), Ruling.DEPENDS, "2 of 3"),
        (memories(SAVED, JUST, NOT), Ruling.DEPENDS, "1 of 3"),
        (memories(SAVED, SAVED, JUST), Ruling.UNDECIDED, "2 of 3"),
        (memories(SAVED, SAVED, SAVED[:2]), Ruling.UNDECIDED, "2 of 3"),
        (memories(NOT, NOT, NOT), Ruling.DOES_NOT_HOLD, "0 of 3"),
        (Evidence(), Ruling.UNDECIDED, "0 of 3"),
    ],
)
def test_p4_wants_a_saving_in_each_of_three_runs(evidence: Evidence, outcome: Ruling, number: str) -> None:
    verdict = judged("P4", evidence)
    assert (verdict.outcome, verdict.number) == (outcome, number)


def converging(gaps: Sequence[float], breaks: int = 0, eager: bool = True) -> Evidence:
    found = [reading(f"gap compiled/gap eager train {place}", gap) for place, gap in enumerate(gaps)]
    found += [*some("tf-eager", "torch-eager", 5.0), *some("tf-function", "torch-compile", 1.1)]
    return Evidence(tuple(found), {"eager": {"tf-eager": eager, "torch-eager": True}, "graph breaks": breaks})


@pytest.mark.parametrize(
    ("evidence", "key"),
    [
        (converging((0.2, LOW * 0.98)), "holds"),
        (converging((0.2, LOW * 1.02)), "depends"),
        (converging((0.2, LOW)), "undecided"),
        (converging((LOW * 1.02, 1.5)), "does-not-hold"),
        (converging((0.2, 0.2), breaks=1), "not-both"),
        (converging((0.2, 0.2), eager=False), "not-both"),
    ],
)
def test_h3_wants_both_modes_and_the_frameworks_nearer(evidence: Evidence, key: str) -> None:
    assert judged("H3", evidence).key == key


# -- The experiments, in their tiny form ------------------------------------------------------------


@pytest.fixture(scope="module")
def make_bench(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Workbench]:
    folder = tmp_path_factory.mktemp("bench")

    def make(shared: Any = None) -> Workbench:
        return Workbench(
            effort=Effort.TINY,
            seed=7,
            folder=folder,
            kept=folder / "environments",
            partial=folder / "partial",
            log=folder / "log.txt",
            workspace=Workspace(folder),
            shared=lambda name: {"steps": shared}[name],
            reports=dict,
        )

    return make


@pytest.fixture(scope="module")
def matrix(make_bench: Callable[[Any], Workbench]) -> dict[str, Any]:
    return steps.run(make_bench(None))


def test_a_compiler_without_a_cache_begins_with_nothing(
    make_bench: Callable[[Any], Workbench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import of the compiler names a folder that all programs share."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    job = ChildCall("compiling_where:place", {"cache": None}, imported=imported("torch-compile"))
    bench = make_bench(None)
    first, second = (Path(bench.run(job).value) for _ in range(2))
    kept = bench.run(replace(job, request={"cache": str(tmp_path / "kept")})).value
    bench.forks.end()
    assert first != second
    assert first.name == second.name == "inductor"
    assert kept == str(tmp_path / "kept")


@pytest.mark.timeout(900)  # PyTorch's compiler starts a C++ compiler a few times: minutes on a busy machine
@pytest.mark.compiler
def test_the_arms_train_alike_and_are_timed(matrix: dict[str, Any]) -> None:
    both = ["infer1 cnn4", "train cnn4"]
    assert {arm: sorted(cells) for arm, cells in matrix["cpu"].items()} == {
        **dict.fromkeys(("tf-eager", "torch-eager", "torch-channels-last", "torch-eager again"), both),
        "tf-xla": both[1:],
        "torch-compile": both[1:],
        "tf-function": ["infer1 cnn4", "predict1 cnn4", "saved1 cnn4", "train cnn4"],
    }
    assert matrix["eager"] == {"tf-eager": True, "torch-eager": True}
    assert matrix["breaks"] == 0
    assert (
        matrix["cold"]["cnn4"][0] > matrix["first"]["torch-eager"]["train cnn4"][0]
    )  # the compiler began with nothing
    assert matrix["apart"]["answers"] < 1e-5


@pytest.mark.compiler
@pytest.mark.parametrize("claim", ["D1", "D3", "P1", "P2", "P3", "H3"])
def test_a_claim_reads_the_matrix(claim: str, matrix: dict[str, Any], make_bench: Callable[[Any], Workbench]) -> None:
    evidence = claim_module(claim).measure(make_bench(matrix))
    assert evidence.readings
    assert evidence.controls
    assert set(evidence.facts[WALLS]) == {one.name for one in evidence.readings if CELL.search(one.name)}
    assert judged(claim, evidence).outcome is Ruling.UNDECIDED  # one round has no interval


def test_arms_that_compute_something_else_are_not_timed() -> None:
    def arm(change: float, answer: float) -> dict[str, Any]:
        prints = [{"norm": 1.0, "projections": [change]}] * 2
        return {"cells": {"train a": {"prints": prints}, "infer1 a": {"answer": [1.0, answer]}}}

    same = steps._apart(arm(1.0, 2.0), arm(1.009, 2.001), "it")
    assert same == pytest.approx((0.009, 0.009, 0.0005))
    with pytest.raises(SlipwayError, match=r"it does not compute what torch-eager does in train a: 0\.02"):
        steps._apart(arm(1.0, 2.0), arm(1.02, 2.0), "it")
    with pytest.raises(SlipwayError, match=r"infer1 a: 0\.005"):
        steps._apart(arm(1.0, 2.0), arm(1.0, 2.01), "it")
    with pytest.raises(SlipwayError, match="nan"):
        steps._apart(arm(1.0, 2.0), arm(1.0, float("nan")), "it")


def test_a_change_of_weights_is_told_from_another() -> None:
    draw = np.random.default_rng(3)
    before = {"a.weight": draw.standard_normal((40, 30)), "a.running_var": np.ones(3)}
    change = draw.standard_normal((40, 30))

    def moved(by: np.ndarray) -> dict[str, Any]:
        return shapes.fingerprint(before, {"a.weight": before["a.weight"] + by, "a.running_var": np.zeros(3)})

    assert shapes.apart(moved(change), moved(change)) == 0
    for share in (0.001, 0.1, 1.0):
        found = shapes.apart(moved(change), moved(change + share * draw.standard_normal((40, 30))))
        assert share / 2 < found < share * 4
    with pytest.raises(SlipwayError, match="finite"):
        shapes.apart(moved(change), moved(change * 0))


def test_the_work_of_the_family_is_what_pytorch_counts() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from pipelines.claims.experiments.nets import torch_nets

    for net, width in shapes.FAMILY.items():
        with FlopCounterMode(display=False) as counter:
            torch_nets.build(net)(torch.zeros(shapes.BATCH, 3, 16, 16))
        assert counter.get_total_flops() * 3 == shapes.family_work(width)


def test_the_twins_have_the_same_weights_and_answers() -> None:
    """All networks, beside the one that the tiny experiment has."""
    import torch

    from models import weights
    from pipelines.claims.experiments.nets import keras_nets, torch_nets

    for net in ("cnn8", *shapes.OTHERS):
        module, twin = torch_nets.build(net).eval(), keras_nets.build(net)
        assert {name: a.shape for name, a in weights.from_torch(module).items()} == {
            name: a.shape for name, a in weights.from_keras(twin).items()
        }
        weights.into_torch(shapes.drawn(weights.from_torch(module)), module)
        weights.into_keras(shapes.drawn(weights.from_keras(twin)), twin)
        rows = shapes.inputs(net, 3, 5)
        x = torch.from_numpy(rows.transpose(0, 3, 1, 2) if rows.ndim == 4 else rows)
        with torch.inference_mode():
            expected = module(x).numpy()
        np.testing.assert_allclose(np.asarray(twin(rows, training=False)), expected, atol=1e-4)


def test_controls_are_of_all_networks_together() -> None:
    cpu = {
        "torch-eager": {"train a": [1.0, 2.0], "train b": [10.0, 10.0], "infer1 a": [1.0, 1.0]},
        "torch-eager again": {"train a": [1.21, 2.0], "train b": [10.0, 10.0], "infer1 a": [2.0, 2.0]},
    }
    train, infer = readings.controls({"cpu": cpu})
    assert [above / below for above, below in train.raw] == pytest.approx([1.1, 1.0])
    assert infer.value == 2.0


@pytest.fixture(scope="module")
def memory_evidence(make_bench: Callable[[Any], Workbench]) -> Evidence:
    bench = make_bench(None)
    return claim_module("P4").measure(replace(bench, shared={"memory": memory.run(bench)}.__getitem__))


def test_memory_grows_with_the_batch_in_both_frameworks(memory_evidence: Evidence) -> None:
    taken = {one.name: one.value for one in memory_evidence.readings if one.unit == "MB a row"}
    assert set(taken) == set(memory.PLANS[Effort.TINY].arms)
    # Sixteen channels of 16 x 16 in float32 are 16 kB: two layers keep their input, their norm's and its output.
    assert all(0.05 < value < 1.0 for value in taken.values())
    assert judged("P4", memory_evidence).outcome is Ruling.UNDECIDED  # one run


def test_a_peak_that_training_did_not_make_is_no_slope() -> None:
    def points(*pairs: tuple[float, float]) -> list[dict[str, float]]:
        return [{"idle": idle, "peak": peak} for idle, peak in pairs]

    assert memory._slopes(points((1, 2)), points((1, 6)), 2, "it") == [2.0]
    for small, large in (((1, 6), (1, 2)), ((2, 2), (1, 6))):
        with pytest.raises(SlipwayError, match="it: the peak must be that of training"):
            memory._slopes(points(small), points(large), 2, "it")

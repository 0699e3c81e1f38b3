"""Claims that are read out of the reports of runs: S1, S2, S3, S6, H1, H5, over made-up reports."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from deployed import bench_of, run_of, said

from pipelines.base.errors import NotPossible
from pipelines.claims import Evidence, Ruling, claim_module
from pipelines.claims.experiments.deployment import runs
from pipelines.claims.h1 import LEAST, MOST
from pipelines.claims.s6 import SLOWER
from pipelines.results import Report

EXPORTS = {"networks": {"residual": {"ONNX Runtime": {"word": "ok"}}, "two": {"ONNX Runtime": {"word": "ok"}}}}


def measured(name: str, folder: Path, *reports: Report, exports: object = EXPORTS) -> Evidence:
    found = claim_module(name).measure(
        bench_of(folder, {f"model{number}": one for number, one in enumerate(reports)}, exports)
    )
    assert found.runs == tuple(f"model{number}, {one.started}" for number, one in enumerate(reports))
    return found


def judged(name: str, evidence: Evidence, outcome: Ruling, words: str | None = None) -> str:
    module = claim_module(name)
    if evidence.facts:
        module.plot(evidence)
    return said(name, module.judge(evidence), outcome, words)


@pytest.mark.parametrize("name", ["S1", "S2", "S3", "S6", "H1", "H5"])
def test_without_evidence_a_claim_is_undecided(name: str) -> None:
    module = claim_module(name)
    assert module.CLAIM.reads_runs
    said(name, module.judge(Evidence()), Ruling.UNDECIDED)


def test_an_artifact_that_answers_wrongly_over_the_wire_is_not_ok() -> None:
    report = run_of()
    artifact = next(one for one in report.artifacts if runs.name_of(one) == "tf-serving:fp32")
    assert runs.word_of(report, artifact) == "ok"
    rows = tuple(
        replace(row, scenarios=tuple(replace(load, match_share=0.5) for load in row.scenarios))
        if row.protocol == "tf-serving-rest"
        else row
        for row in report.rows
    )
    assert runs.word_of(replace(report, rows=rows), artifact) == "failed"


@pytest.mark.parametrize(
    ("word", "expected"), [("wrong", "silently wrong"), ("failed", "failed"), ("skipped", "skipped"), ("ok", "ok")]
)
def test_the_words_of_the_grid(word: str, expected: str) -> None:
    report = run_of({"litert:int8": word})
    artifact = next(one for one in report.artifacts if runs.name_of(one) == "litert:int8")
    assert runs.word_of(report, artifact) == expected


def test_s1_two_links_of_three_are_shown_until_there_is_a_path_for_js(tmp_path: Path) -> None:
    evidence = measured("S1", tmp_path, run_of(), run_of({"litert:int8": "wrong"}))
    text = judged("S1", evidence, Ruling.DEPENDS, "two-of-three")
    assert "all 2 models, with 5 of 6 variants" in text
    links = dict(evidence.facts["links"])
    links["JS"] = {model: {"tfjs:fp32": "ok"} for model in evidence.facts["models"]}
    judged("S1", Evidence(facts={**evidence.facts, "links": links}), Ruling.HOLDS)
    grid = claim_module("S1").plot(evidence)
    assert grid is not None
    assert grid.kind == "grid"


def test_s1_a_link_that_takes_some_models_or_none(tmp_path: Path) -> None:
    broken = run_of({"tf-serving:fp32": "failed"})
    judged("S1", measured("S1", tmp_path, run_of(), broken), Ruling.DEPENDS, "depends")
    judged("S1", measured("S1", tmp_path, broken, broken), Ruling.DOES_NOT_HOLD)
    judged("S1", measured("S1", tmp_path, run_of(leave_out=("tf-serving:fp32",))), Ruling.UNDECIDED)


def test_s1_a_link_whose_library_is_missing_was_not_tested(tmp_path: Path) -> None:
    skipped = run_of(dict.fromkeys(("litert:fp32", "litert:int8"), "skipped"))
    judged("S1", measured("S1", tmp_path, skipped), Ruling.UNDECIDED)
    judged("S1", measured("S1", tmp_path, run_of(), skipped), Ruling.DEPENDS, "depends")


@pytest.fixture(scope="module")
def maturity(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """S2 over a run in which everything passes; the warnings come from a real process."""
    return measured("S2", tmp_path_factory.mktemp("s2"), run_of())


def test_s2_meets_the_deprecation_of_torchscript(maturity: Evidence) -> None:
    assert any(line.startswith("torch 2.") and "`torch.jit.trace` is deprecated" in line for line in maturity.warnings)
    assert "torchscript:traced" in maturity.facts["states"]


def test_s2_both_halves_of_maturity(maturity: Evidence) -> None:
    judged("S2", maturity, Ruling.DEPENDS, "less-maintained")  # all pass, half rests on what is not maintained
    judged("S2", maturity_of(maturity, states={}), Ruling.DOES_NOT_HOLD, "does-not-hold")
    fewer = {"executorch:fp32": "failed"}
    judged("S2", maturity_of(maturity, fewer), Ruling.HOLDS, "holds")  # 7 of 8 against 3 of 3: 12 points
    judged("S2", maturity_of(maturity, fewer, states={}), Ruling.DEPENDS, "fewer-pass")


def test_s2_a_way_that_does_not_take_every_model_is_none(maturity: Evidence) -> None:
    lost = dict.fromkeys(("torchscript:traced", "torchserve:torchscript"), "failed")
    judged("S2", maturity_of(maturity, lost), Ruling.DOES_NOT_HOLD, "no-way")
    one_left = {"torchscript:traced": "failed"}
    judged("S2", maturity_of(maturity, one_left), Ruling.HOLDS)


def maturity_of(evidence: Evidence, words: dict[str, str] | None = None, **facts: object) -> Evidence:
    ways = {
        way: {
            model: {name: (words or {}).get(name, word) for name, word in found.items()}
            for model, found in models.items()
        }
        for way, models in evidence.facts["ways"].items()
    }
    return Evidence(facts={**evidence.facts, "ways": ways, **facts})


@pytest.mark.parametrize(
    ("seconds", "outcome", "words"),
    [
        (14.0, Ruling.HOLDS, "holds"),  # 14 + 2.4 over 5 + 2.4
        (8.0, Ruling.DEPENDS, "both"),
        (1.0, Ruling.DOES_NOT_HOLD, "does-not-hold"),
    ],
)
def test_s3_the_ways_to_the_first_served_answer(tmp_path: Path, seconds: float, outcome: Ruling, words: str) -> None:
    evidence = measured("S3", tmp_path, run_of(packaging_s={"tf-serving:fp32": seconds}))
    assert evidence.readings[0].raw == ((pytest.approx(seconds + 2.4), pytest.approx(7.4)),)
    text = judged("S3", evidence, outcome, words)
    if words == "both":
        assert "2 and 3 steps" in text  # the first of the cheapest is torchserve:export


def test_s3_needs_a_run_that_packaged_anew(tmp_path: Path) -> None:
    with pytest.raises(NotPossible, match=r"slipway run mnist_cnn .* --rebuild"):
        measured("S3", tmp_path, run_of(packaging_s={"tf-serving:fp32": 0.0}))


RIVALS = ("executorch:fp32", "onnxruntime:pytorch")


@pytest.mark.parametrize(
    ("ratios", "outcome"),
    [
        ((SLOWER + 0.01, SLOWER + 0.01), Ruling.HOLDS),
        ((SLOWER + 0.01, SLOWER - 0.01), Ruling.DEPENDS),
        ((SLOWER - 0.01, 0.5), Ruling.DOES_NOT_HOLD),
    ],
)
def test_s6_rivals_behind_or_not(tmp_path: Path, ratios: tuple[float, float], outcome: Ruling) -> None:
    evidence = measured("S6", tmp_path, run_of(cpu_ms=dict(zip(RIVALS, ratios, strict=True))))
    judged("S6", evidence, outcome)
    assert evidence.reading("model0: CPU time of ExecuTorch over LiteRT's").value == pytest.approx(ratios[0])
    assert evidence.reading("model0: memory of ONNX Runtime over LiteRT's").value == 1


def test_s6_a_rival_that_takes_fewer_models_is_behind(tmp_path: Path) -> None:
    lost = run_of(dict.fromkeys(RIVALS, "failed"))
    judged("S6", measured("S6", tmp_path, run_of(), lost), Ruling.HOLDS)
    judged("S6", measured("S6", tmp_path, lost), Ruling.HOLDS)  # they take none: there is no time to compare
    judged("S6", measured("S6", tmp_path, run_of({"litert:fp32": "failed"})), Ruling.UNDECIDED)


def cells(tensorflow: int, pytorch: int, tie: int = 3) -> Evidence:
    counts = {"tensorflow": tensorflow, "pytorch": pytorch, "tie": tie}
    return Evidence(facts={"cells": [{"framework": name} for name, count in counts.items() for _ in range(count)]})


def test_h1_on_both_sides_of_two_thirds() -> None:
    assert pytest.approx(2 / 3) == MOST
    judged("H1", cells(6, 3), Ruling.HOLDS)
    judged("H1", cells(5, 4), Ruling.DEPENDS)
    judged("H1", cells(4, 5), Ruling.DEPENDS)
    judged("H1", cells(3, 6), Ruling.DOES_NOT_HOLD)
    judged("H1", cells(LEAST - 1, 0), Ruling.UNDECIDED)


def test_h1_asks_a_run(tmp_path: Path) -> None:
    """TensorFlow's rows need half the CPU time; of all else both have the same."""
    report = run_of(cpu_ms={"tf-serving:fp32": 0.5, "litert:fp32": 0.5, "litert:int8": 0.4})
    found = measured("H1", tmp_path, report).facts["cells"]
    won = {(one["setting"], one["question"]): one for one in found}
    for setting in ("any", "float32 only", "maintained only"):
        assert won[setting, "least CPU time a request"]["framework"] == "tensorflow"
        assert won[setting, "least memory"]["framework"] == "tie"
    in_application = "least CPU time a call, in an application"
    assert won["any", in_application]["rows"] == ["litert:int8 in-process"]
    assert won["float32 only", in_application]["rows"] == ["litert:fp32 in-process", "tf-serving:fp32 in-process"]
    memory = [name for name in won["maintained only", "least memory"]["rows"] if name.startswith("torchserve")]
    assert memory == []


def test_h1_a_question_for_rows_of_one_framework_only_is_left_out(tmp_path: Path) -> None:
    report = run_of({"tf-serving:fp32": "failed"})
    questions = {one["question"] for one in measured("H1", tmp_path, report).facts["cells"]}
    assert "least CPU time a request" not in questions
    assert "least CPU time a call, in an application" in questions


def test_h1_the_best_of_few_undisturbed_rows_wins_nothing(tmp_path: Path) -> None:
    report = run_of()
    rows = tuple(
        replace(row, measurement="disturbed") if row.path == "aotinductor" and row.where == "served" else row
        for row in report.rows
    )
    asked = {one["question"] for one in measured("H1", tmp_path, report).facts["cells"]}
    left = {one["question"] for one in measured("H1", tmp_path, replace(report, rows=rows)).facts["cells"]}
    assert asked - left == {"lowest p99 under load", "highest throughput"}


def test_h5_a_target_that_only_a_beta_reaches_is_open(tmp_path: Path) -> None:
    whole = measured("H5", tmp_path, run_of()).facts
    judged("H5", Evidence(facts=whole), Ruling.DOES_NOT_HOLD)
    device = {name: found for name, found in whole["targets"]["a device"].items() if name == "executorch"}
    assert device["executorch"]["states"] == ["beta"]
    beta = {**whole, "targets": {**whole["targets"], "a device": device}}
    assert "for 1 of 3 targets" in judged("H5", Evidence(facts=beta), Ruling.HOLDS)
    judged("H5", Evidence(facts={**whole, "exported": {"two": "refused", "lstm": "ok"}}), Ruling.DEPENDS)

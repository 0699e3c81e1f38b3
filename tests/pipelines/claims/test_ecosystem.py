"""E1 to E6 and P5: rules on made-up evidence, and the real experiments in their tiny form, in real environments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.artifacts.workspace import Workspace
from pipelines.base.environments import Environment
from pipelines.base.errors import MissingExtra, SlipwayError
from pipelines.claims import ClaimReading, Evidence, Ruling, claim_module
from pipelines.claims.experiments.bench import ChildCall, Effort, Workbench
from pipelines.claims.experiments.ecosystem import hub, lightning, pictures, tfx, triton_kernel
from pipelines.claims.ledger.running import ClaimRunner
from pipelines.claims.ledger.view import line_of
from pipelines.claims.plots import Bars, Grid
from pipelines.claims.texts import Text, catalogue
from pipelines.stages.forks import Forks

HERE, YES, NO, SOME = Ruling.NOT_HERE, Ruling.HOLDS, Ruling.DOES_NOT_HOLD, Ruling.DEPENDS


def says(name: str, facts: dict[str, Any], *readings: ClaimReading) -> tuple[Ruling, str, Text]:
    """The outcome, the key of its sentence, and the sentence, after both languages were filled."""
    verdict = claim_module(name).judge(Evidence(readings, facts))
    text = catalogue()[name].says(verdict)
    for sentence in (text.en, text.zh):
        assert sentence
        assert "{" not in sentence
        assert "TODO" not in sentence
    return verdict.outcome, verdict.key, text


# -- E1 -------------------------------------------------------------------------------------------

GATED = {"sound": True, "out of range": False, "shuffled": False}


@pytest.mark.parametrize(
    ("installs", "outcome", "key"),
    [(False, HERE, "not-here"), (None, HERE, "not-here-slow"), (True, Ruling.UNDECIDED, "undecided")],
)
def test_e1_says_if_it_installs(installs: bool | None, outcome: Ruling, key: str) -> None:
    pip = {"installs": installs, "reason": "no ml-metadata", "seconds": 9.4}
    facts = {"pip": pip, "pushed": GATED, "requirement": "tfx==1"}
    assert says("E1", facts)[:2] == (outcome, key)
    assert "stops the two bad ones" in says("E1", facts)[2].en
    facts["pushed"] = {**GATED, "shuffled": True}
    assert "does not stop bad models" in says("E1", facts)[2].en
    assert claim_module("E1").plot(Evidence(facts=facts)) is None


def test_e1_asks_pip(tmp_path: Path) -> None:
    """Wheels on disk: one that needs what is not there, one that does not, and none at all."""
    for name, needs in (("needy", "Requires-Dist: slipway-not-there==1\n"), ("modest", "")):
        _wheel(tmp_path, name, needs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(tmp_path))
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        needy, modest = (tfx.resolves(f"{name}==1", 60) for name in ("needy", "modest"))
        with pytest.raises(MissingExtra, match="does not offer absent==1"):
            tfx.resolves("absent==1", 60)
    assert needy["installs"] is False
    assert "slipway-not-there==1" in needy["reason"]
    assert (modest["installs"], modest["reason"]) == (True, "")


def _wheel(folder: Path, name: str, needs: str) -> None:
    import zipfile

    info = f"{name}-1.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as file:
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{needs}")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


def test_e1_time_is_bounded() -> None:
    assert tfx._dry_run(["tfx", "--no-deps", "--no-index"], 1e-3)[0] is None


def test_e1_validates_before_it_pushes(tmp_path: Path) -> None:
    assert tfx.gates(str(tmp_path)) == GATED


# -- E2 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unequal", "outcome"),
    [((), YES), (("image",), SOME), (("histogram", "image"), SOME), (("scalars",), NO)],
)
def test_e2_wants_equal_values(unequal: tuple[str, ...], outcome: Ruling) -> None:
    equal = {name: name not in unequal for name in ("scalars", "image", "histogram")}
    assert says("E2", {"equal": equal})[0] is outcome
    assert claim_module("E2").plot(Evidence(facts={"equal": equal})) is None


# -- E3 -------------------------------------------------------------------------------------------

WAYS = dict.fromkeys(("hub.load", "hub.KerasLayer", "TFSMLayer", "tf.saved_model"), 1e-5)


@pytest.mark.parametrize(
    ("ways", "stubs", "key"),
    [
        (WAYS, [], "not-here"),
        (WAYS, ["pkg_resources"], "not-here-stubs"),
        ({**WAYS, "hub.load": "ValueError: no"}, [], "not-here"),
        ({**WAYS, "hub.load": "ValueError: no", "hub.KerasLayer": 2e-5}, [], "not-here-broken"),
    ],
)
def test_e3_says_what_the_hub_needs(ways: dict[str, Any], stubs: list[str], key: str) -> None:
    facts = {"ways": ways, "stubs": stubs, "setuptools": "84"}
    assert says("E3", facts)[:2] == (HERE, key)
    plot = claim_module("E3").plot(Evidence(facts=facts))
    assert isinstance(plot, Grid)
    assert plot.cells[0] == (("failed",) if isinstance(ways["hub.load"], str) else ("ok",))


# -- E4 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bare", "full", "outcome", "key"),
    [(7, 15, YES, "holds"), (8, 16, NO, "does-not-hold"), (8, 15, SOME, "depends"), (7, 16, SOME, "depends-bare")],
)
def test_e4_counts_lines(bare: int, full: int, outcome: Ruling, key: str) -> None:
    lines = {"torch_single": 10, "torch_full": 20, "lightning_bare": bare, "lightning_full": full, "keras_single": 6}
    readings = (ClaimReading("plain, a step", 90.0, "us"), ClaimReading("lightning adds", 950.4, "us"))
    outcome_found, key_found, text = says("E4", {"lines": lines}, *readings)
    assert (outcome_found, key_found) == (outcome, key)
    assert "950 microseconds" in text.en
    assert claim_module("E4").plot(Evidence(readings)) == Bars({"plain": 90.0}, "CPU microseconds a step")


def test_lines_of_code_are_those_that_do_something() -> None:
    head = '"""Says\nwhat."""\n\nimport a\nfrom b import (\n    c,\n)\n\n# a word\n'
    text = f'{head}\n\ndef f(\n    x,\n):\n    """Say."""\n    return x  # so\n'
    assert lightning.code_lines(text) == 4
    assert lightning.code_lines("import a\n") == 0


def test_e4_wants_equal_weights(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"difference": 2e-4, "cpu_s": 1.0, "steps": 1}

    def run(self: Workbench, job: ChildCall) -> Any:
        return type("Result", (), {"value": value})

    monkeypatch.setattr(Workbench, "run", run)
    with pytest.raises(SlipwayError, match="with validation"):
        claim_module("E4").measure(replace(bench, partial=bench.folder / "other"))


# -- E5 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ways", "outcome", "cell"),
    [
        ({"a": 1e-4, "b": 0.0}, YES, "ok"),
        ({"a": 1.1e-4, "b": 0.0}, SOME, "silently wrong"),
        ({"a": "Error: no", "b": 0.0}, SOME, "refused"),
        ({"a": "Error: no", "b": 1.0}, NO, "refused"),
    ],
)
def test_e5_wants_equal_answers(ways: dict[str, Any], outcome: Ruling, cell: str) -> None:
    facts = {"ways": ways, "classes": {"TF": 0, "Flax": 0, "models": 300}, "version": "5"}
    found, _, text = says("E5", facts)
    assert found is outcome
    assert "no class for TensorFlow" in text.en
    facts["classes"] = {"TF": 2, "Flax": 1, "models": 300}
    assert "3 classes" in says("E5", facts)[2].en
    plot = claim_module("E5").plot(Evidence(facts=facts))
    assert isinstance(plot, Grid)
    assert plot.cells[0] == (cell,)


# -- E6 -------------------------------------------------------------------------------------------


def levels(bilinear: float, bicubic: float) -> dict[str, list[float]]:
    found = {"bilinear, torchvision and Pillow": [bilinear, 0.1], "bicubic, torchvision and Pillow": [bicubic, 0.1]}
    for name in pictures.FILTERS:
        found[f"{name}, TensorFlow and torchvision, both antialias"] = [4.0, 0.1]
    return {**found, "default, TensorFlow and torchvision": [101.0, 9.0]}


@pytest.mark.parametrize(
    ("found", "normalised", "outcome"),
    [
        (levels(3, 3), 1e-5, YES),
        (levels(3, 4), 1e-5, SOME),
        (levels(4, 3), 1e-5, SOME),
        (levels(4, 4), 1e-5, NO),
        (levels(3, 3), 1.1e-5, NO),
        (levels(3, 3), float("nan"), NO),
    ],
)
def test_e6_compares_levels(found: dict[str, list[float]], normalised: float, outcome: Ruling) -> None:
    facts = {"levels": found, "normalised": normalised, "labels": None, "pictures": 11}
    assert says("E6", facts)[0] is outcome
    facts["levels"] = {**found, "default, TensorFlow and torchvision": [16.0, 9.0]}
    assert (says("E6", facts)[1] == "holds-apart") is (outcome is YES)
    facts["levels"] = {**found, "default, TensorFlow and torchvision": [16.1, 9.0]}
    assert says("E6", facts)[1] != "holds-apart"
    assert "no trained model" in says("E6", facts)[2].en
    facts["labels"] = {"TensorFlow default": 2}
    assert "the label of 2 of 11" in says("E6", facts)[2].en
    plot = claim_module("E6").plot(Evidence(facts=facts))
    assert isinstance(plot, Bars)
    assert plot.values["default, TensorFlow and torchvision"] == 16.1


# -- P5 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("exact", "key"), [(True, "not-here-shown"), (False, "not-here-wrong")])
def test_p5_shows_the_language_only(exact: bool, key: str) -> None:
    facts = {"triton": {"exact": exact, "version": "3.7.1", "cuda": False}}
    assert says("P5", facts)[:2] == (HERE, key)
    assert claim_module("P5").plot(Evidence(facts=facts)) is None


def test_p5_downloads_nothing_for_a_test(bench: Workbench) -> None:
    evidence = claim_module("P5").measure(bench)
    assert says("P5", dict(evidence.facts))[:2] == (HERE, "not-here")
    assert not list(bench.kept.glob("triton*"))


def test_p5_runs_the_kernel_where_it_is_asked_to(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ChildCall] = []

    def run(self: Workbench, job: ChildCall) -> Any:
        asked.append(job)
        return type("Result", (), {"value": {"exact": True, "version": "3", "cuda": False}})

    monkeypatch.setattr(Workbench, "run", run)
    claim_module("P5").measure(replace(bench, effort=Effort.QUICK))
    assert [(one.function.rpartition(":")[2], one.environment) for one in asked] == [("add", triton_kernel.ENVIRONMENT)]


# -- In earnest, in the form for tests -------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    folder = tmp_path_factory.mktemp("claims")
    places = [folder / name for name in ("files", "kept", "partial", "log.txt")]
    places[0].mkdir()
    with Forks() as forks:
        yield Workbench(Effort.TINY, 7, *places, Workspace(folder), {}.__getitem__, dict, forks=forks)


def test_an_environment_that_cannot_be_made_is_not_testable_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Environment("made-up", (str(tmp_path / "nothing-1.0-py3-none-any.whl"),))
    monkeypatch.setattr(hub, "ENVIRONMENT", nothing)
    running = ClaimRunner(Workspace(tmp_path), Effort.TINY, 1, dict)
    (entry,) = running.measure(["E3"])
    assert entry.verdict.outcome is HERE
    assert entry.reason is not None
    assert "pip install --no-deps" in entry.reason
    said = line_of(running.ledger, "E3").says
    assert said is not None
    assert said.en.startswith("Not testable here: the environment made-up could not be made")


def test_tensorboard_gives_out_the_same_values(bench: Workbench) -> None:
    evidence = claim_module("E2").measure(bench)
    assert evidence.facts["equal"] == {"scalars": True, "image": True, "histogram": True}


def test_a_module_loads_with_the_hub_and_without(bench: Workbench) -> None:
    evidence = claim_module("E3").measure(bench)
    assert max(evidence.facts["ways"].values()) <= 1e-5
    says("E3", dict(evidence.facts))


def test_lightning_trains_to_the_same_weights(bench: Workbench, nothing_left: Callable[[], list[str]]) -> None:
    evidence = claim_module("E4").measure(bench)
    bench.forks.end()
    assert max(evidence.facts["differences"].values()) <= 1e-4
    assert evidence.reading("lightning adds").value > 0
    says("E4", dict(evidence.facts), *evidence.readings)
    assert nothing_left() == []


def test_a_bert_leaves_pytorch(bench: Workbench) -> None:
    evidence = claim_module("E5").measure(bench)
    assert says("E5", dict(evidence.facts))[0] is YES
    assert evidence.facts["classes"]["TF"] == 0
    assert evidence.facts["classes"]["models"] > 100
    assert any("torch.jit.trace" in text for text in evidence.warnings)


def test_resizing_is_decided_by_antialiasing(bench: Workbench) -> None:
    evidence = claim_module("E6").measure(bench)
    levels = {pair: largest for pair, (largest, _) in evidence.facts["levels"].items()}
    assert levels["bilinear, TensorFlow and torchvision, both antialias"] < 8
    assert levels["default, TensorFlow and torchvision"] > 30
    assert says("E6", dict(evidence.facts))[0] in (YES, SOME)


def test_labels_are_of_a_trained_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the network: the label is the brightest of the first pixels."""
    import torch

    from models import trained as trained_models

    class Net(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.flatten(1)[:, :9]

    def form(self: Any, name: str) -> Net:
        return Net()

    def load(folder: Path) -> Any:
        return model

    spec = type("Spec", (), {"picture": type("Picture", (), {"offset": 127.0, "scale": 128.0})})
    model = type("Model", (), {"spec": spec, "form": form})()
    monkeypatch.setattr(trained_models, "load", load)
    draw = np.random.default_rng(0)
    pillow = draw.integers(0, 256, (5, 4, 4, 3)).astype(np.uint8)
    np.savez(tmp_path / "all.npz", **{"Pillow bilinear": pillow, "same": pillow, "TensorFlow default": 255 - pillow})
    assert pictures.labels(str(tmp_path), "anywhere") == {"Pillow bilinear": 0, "same": 0, "TensorFlow default": 5}

"""Keys cover the code that they name: a changed module voids what rests on it, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tiny_models import PLAIN, TinyModel, named

import models
from models.trained import TrainedModel, code_of
from pipelines.artifacts import parity, reference
from pipelines.artifacts.artifact import artifact_key
from pipelines.artifacts.sources import place_of
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import NotPossible
from pipelines.paths import FP32, PATHS, path_module
from pipelines.paths.choose import choose_one
from pipelines.run.making import _none_of, certificate_basis, forms_for, prepare
from pipelines.run.prepare import Context, attempt, start_row
from pipelines.stages import answers, functions

Change = Callable[[ModuleType], None]


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Change:
    """Makes a module's source another one, for as long as the test runs."""

    def apply(module: ModuleType) -> None:
        changed = tmp_path / f"{module.__name__}.py"
        changed.write_text(place_of(module).read_text() + "\n# changed\n")
        monkeypatch.setattr(module, "__spec__", ModuleSpec(module.__name__, None, origin=str(changed)))

    return apply


@pytest.mark.parametrize("module", [parity, reference, functions, answers], ids=lambda module: module.__name__)
def test_a_certificate_is_void_when_the_code_that_judged_it_changes(
    trained: TrainedModel, change: Change, module: ModuleType
) -> None:
    before = certificate_basis(trained, FP32, from_user=False)
    assert before == certificate_basis(trained, FP32, from_user=False)
    change(module)
    assert before != certificate_basis(trained, FP32, from_user=False)


def keys() -> dict[str, str]:
    """The key of one artifact of every path."""
    cards = {name: path_module(name).CARD for name in PATHS}
    return {
        name: artifact_key(card, PATHS[name], next(iter(card.variants)), "torch", named("mnist_cnn"))
        for name, card in cards.items()
    }


@pytest.mark.parametrize("path", PATHS)
def test_a_changed_path_rebuilds_its_own_artifacts_only(change: Change, path: str) -> None:
    before = keys()
    change(sys.modules[PATHS[path]])
    after = keys()
    built_on_it = {name for name in PATHS if PATHS[path] in path_module(name).CARD.sources}
    assert {name for name in before if before[name] != after[name]} == {path, *built_on_it}
    assert built_on_it <= {f"{path}-web"}


def test_a_changed_model_rebuilds_nothing_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "a_model_of_a_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "train.py").write_text("epochs = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(models.MODELS, "other", package.name)
    card: Any = path_module("litert").CARD

    def both() -> tuple[str, str]:
        mine, other = (
            artifact_key(card, PATHS["litert"], "fp32", "keras", named(name)) for name in ("mnist_cnn", "other")
        )
        return mine, other

    mine, other = both()
    (package / "train.py").write_text("epochs = 2\n")
    assert both()[0] == mine
    assert both()[1] != other
    assert {module.__name__ for module in code_of("mnist_cnn")} & {package.name} == set()


def test_no_site_is_built_where_no_browser_could_prove_it(
    trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    context = Context(Workspace(tmp_path / "workspace"), tmp_path / "logs")
    row, artifact = prepare(context, trained, choose_one("onnxruntime-web"), None)
    assert (row.status, artifact) == ("skipped", None)
    assert "apt-get install chromium" in str(row.reason)
    assert not (tmp_path / "logs").exists()  # no stage has run


class OnlyTorch(TinyModel):
    """A user's own PyTorch model has no Keras twin."""

    @property
    def forms(self) -> tuple[str, ...]:
        return ("torch",)


def test_a_model_without_the_form_of_a_variant_skips_it_with_the_reason(tmp_path: Path) -> None:
    model = OnlyTorch(PLAIN.spec, PLAIN.torch_form, PLAIN.keras_form)
    assert forms_for(model, choose_one("onnxruntime:pytorch")) == ["torch"]  # type: ignore[arg-type]
    row, artifact = prepare(
        Context(Workspace(tmp_path), tmp_path / "logs"), model, choose_one("onnxruntime:keras"), None
    )  # type: ignore[arg-type]
    reason = "onnxruntime:keras is made from the form keras. Received: plain, which has torch"
    assert (row.status, row.reason, artifact) == ("skipped", reason, None)


def test_what_this_machine_cannot_do_is_skipped_without_a_command_that_would_not_help() -> None:
    def refuse() -> Any:
        raise NotPossible("this processor does not compute in bf16")

    row = attempt(start_row(choose_one("openvino:bf16")), "openvino", refuse)
    assert (row.status, row.reason) == ("skipped", "this processor does not compute in bf16")


def test_a_variant_that_no_way_gave_has_the_sentence_of_each() -> None:
    row = start_row(choose_one("openvino:fp32"))
    failed = replace(row, status="failed", reason="it crashed\nthe end of its log")
    skipped = replace(row, status="skipped", reason="no such operator")
    assert _none_of({"torch": failed}) == failed
    found = _none_of({"torch": failed, "onnx": skipped})
    assert (found.status, found.reason) == (
        "failed",
        "no way gave it. From torch: it crashed; from onnx: no such operator",
    )
    assert _none_of({"torch": skipped, "onnx": skipped}).status == "skipped"
    assert str(_none_of({"onnx": skipped, "torch": failed}).reason).endswith("\nthe end of its log")

"""The experiments on behaviour in their smallest form, in real processes; eight claims are read from them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.claims import Evidence, claim_module
from pipelines.claims.experiments.bench import Effort, Workbench
from pipelines.claims.texts import catalogue

CLAIMS = ("D2", "D4", "H2", "S4", "S8", "V1", "L1", "L2")


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Evidence]:
    """Measure every claim of the group once; the experiments are shared."""
    folder: Path = tmp_path_factory.mktemp("claims")

    @cache
    def shared(name: str) -> Any:
        return importlib.import_module(f"pipelines.claims.experiments.{name}").run(bench)

    bench = Workbench(
        effort=Effort.TINY,
        seed=1,
        folder=folder,
        kept=folder / "kept",
        partial=folder / "partial",
        log=folder / "log.txt",
        workspace=SimpleNamespace(),  # type: ignore[arg-type]
        shared=shared,
        reports=dict,
    )
    return {name: claim_module(name).measure(bench) for name in CLAIMS}


@pytest.mark.compiler
@pytest.mark.parametrize("name", CLAIMS)
def test_a_measurement_is_judged_said_and_drawn(evidence: Mapping[str, Evidence], name: str) -> None:
    verdict = claim_module(name).judge(evidence[name])
    said = catalogue()[name].says(verdict)
    assert said.en != said.zh
    claim_module(name).plot(evidence[name])


@pytest.mark.compiler
def test_eager_and_graph(evidence: Mapping[str, Evidence]) -> None:
    places = evidence["D2"].facts["as it comes"]
    assert places["call"]
    assert not places["fit"]
    assert all(evidence["D2"].facts["run_eagerly"].values())
    assert claim_module("D4").judge(evidence["D4"]).key == "holds-for-both"


@pytest.mark.compiler
def test_control_flow(evidence: Mapping[str, Evidence]) -> None:
    cells = evidence["H2"].facts["cells"]
    for form in ("if", "shape-if", "cond"):
        for path in (
            "PyTorch: eager",
            "PyTorch: torch.compile",
            "TensorFlow: eager",
            "TensorFlow: TFLite",
            "Keras call",
        ):
            assert cells[path][form]["outcome"] == "ok", (path, form, cells[path][form]["why"])
    assert cells["PyTorch: jit.trace"]["if"]["outcome"] == "silently wrong"
    assert "TracerWarning" in cells["PyTorch: jit.trace"]["if"]["warned"]
    assert cells["PyTorch: torch.export"]["if"]["outcome"] == "refused"
    assert cells["Keras export"]["if"]["outcome"] == "refused"
    assert any("torch.jit" in text for text in evidence["H2"].warnings)


@pytest.mark.compiler
def test_debugging(evidence: Mapping[str, Evidence]) -> None:
    modes = evidence["S4"].facts["modes"]
    for eager in ("PyTorch eager", "TensorFlow eager"):
        assert all(modes[eager][probe] for probe in ("print", "breakpoint", "error")), modes[eager]
    assert not modes["tf.function"]["print"]
    assert modes["tf.function + XLA"]["mistakes"]["index"]["outcome"] == "no error"
    assert modes["tf.function + XLA"]["mistakes"]["shape"]["outcome"] == "line"


@pytest.mark.compiler
def test_code(evidence: Mapping[str, Evidence]) -> None:
    cells = evidence["V1"].facts["cells"]
    assert {cell["outcome"] for paths in cells.values() for cell in paths.values()} == {"ok"}
    assert set(cells) == {"Sequential", "Functional", "subclassed"}
    modules = evidence["L1"].facts["numpy"]
    assert modules["torch"]["works"]["x[0, 0] = 7.0"] == "ok"
    assert modules["tf"]["works"]["x[0, 0] = 7.0"] != "ok"
    assert len(evidence["S8"].facts["code"]) == 6


@pytest.mark.compiler
def test_sessions(evidence: Mapping[str, Evidence]) -> None:
    found = evidence["L2"].facts
    assert found["sessions"] == {"old": 1, "new": 0}
    assert "placeholder" in found["as written"]

"""E5: Hugging Face has the NLP models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.bench import ChildCall, Effort
from pipelines.claims.plots import Grid

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

BERT = "pipelines.claims.experiments.ecosystem.bert"
CLAIM = Claim(
    id="E5",
    sections=(4,),
    kind="testable",
    sources=(BERT,),
    requires=("torch", "onnx", "onnxruntime", "onnxscript", "executorch"),
    beside=True,
)
EQUAL = 1e-4
"""The largest difference of a logit from eager PyTorch's that counts as equal. Fixed before measuring."""
LAYERS = {Effort.TINY: 1, Effort.QUICK: 2, Effort.FULL: 2}
WAYS = ("torch.export", "TorchScript", "ONNX", "ExecuTorch")
TINY = WAYS[:2]
"""The ways of the form for tests."""


def measure(bench: Workbench) -> Evidence:
    """Take a tiny BERT through the ways out of PyTorch, and count the classes of other frameworks."""
    from pipelines.claims.experiments.ecosystem.bert import ENVIRONMENT

    ways = TINY if bench.effort is Effort.TINY else WAYS
    request = {"folder": str(bench.folder), "layers": LAYERS[bench.effort], "wanted_ways": ways}
    found = bench.run(ChildCall(f"{BERT}:ways_out", request, ENVIRONMENT)).value
    facts = {name: found[name] for name in ("ways", "classes", "version")}
    return Evidence(facts=facts, warnings=tuple(found["warnings"]))


def judge(evidence: Evidence) -> Verdict:
    """It holds if the BERT leaves PyTorch by every way tried with equal answers; it depends if by some."""
    ways, classes = evidence.facts["ways"], evidence.facts["classes"]
    good = [name for name, found in ways.items() if _equal(found)]
    bad = [name for name in ways if name not in good]
    tensorflow = classes["TF"] + classes["Flax"]
    values = {
        "good": ", ".join(good),
        "bad": ", ".join(bad),
        "kinds": classes["models"],
        "version": evidence.facts["version"],
        "tensorflow_en": f"{tensorflow} classes for TensorFlow and JAX"
        if tensorflow
        else "no class for TensorFlow or JAX",
        "tensorflow_zh": f"有 {tensorflow} 个用于 TensorFlow 和 JAX 的类"
        if tensorflow
        else "没有任何用于 TensorFlow 或 JAX 的类",
    }
    outcome = Ruling.HOLDS if not bad else Ruling.DEPENDS if good else Ruling.DOES_NOT_HOLD
    return Verdict(outcome, values, number=f"{len(good)} of {len(ways)} ways, {tensorflow} TF classes")


def _equal(found: float | str) -> bool:
    return not isinstance(found, str) and found <= EQUAL


def plot(evidence: Evidence) -> Plot | None:
    """Draw which way took the BERT, and which gave other answers without an error."""
    ways = evidence.facts["ways"]
    words = [
        "refused" if isinstance(found, str) else "ok" if _equal(found) else "silently wrong" for found in ways.values()
    ]
    return Grid(tuple(ways), ("BERT",), tuple((word,) for word in words))

"""E1: TFX is an end-to-end pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.bench import ChildCall, Effort

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

TFX = "pipelines.claims.experiments.ecosystem.tfx"
CLAIM = Claim(id="E1", sections=(4,), kind="partly", sources=(TFX,), requires=("mlxtend",), beside=True)
PIP_S = {Effort.TINY: 60.0, Effort.QUICK: 90.0, Effort.FULL: 240.0}
"""Seconds that pip may look for versions that fit together."""
EXPECTED = {"sound": True, "out of range": False, "shuffled": False}
"""Which candidates a pipeline that validates before it pushes lets through."""


def measure(bench: Workbench) -> Evidence:
    """Ask pip whether TFX can be installed here; run its idea, validate before you push, without it."""
    from pipelines.claims.experiments.ecosystem.tfx import REQUIREMENT

    bench.tell("pip resolves TFX")
    allowed = PIP_S[bench.effort]
    request = {"requirement": REQUIREMENT, "timeout_s": allowed}
    pip = bench.run(ChildCall(f"{TFX}:resolves", request, timeout_s=2 * allowed + 30)).value
    pushed = bench.run(ChildCall(f"{TFX}:gates", {"folder": str(bench.folder)})).value
    return Evidence(facts={"pip": pip, "pushed": pushed, "requirement": REQUIREMENT})


def judge(evidence: Evidence) -> Verdict:
    """Say if it installs; if it does not, or was not seen to, the claim is not testable here."""
    pip, idea = evidence.facts["pip"], evidence.facts["pushed"] == EXPECTED
    values = {
        "requirement": evidence.facts["requirement"],
        "reason": pip["reason"] or "-",
        "seconds": f"{pip['seconds']:.0f}",
        "idea_en": "lets the sound model through and stops the two bad ones" if idea else "does not stop bad models",
        "idea_zh": "放行了合格模型，拦住了两个不合格模型" if idea else "没能拦住不合格模型",
    }
    if pip["installs"] is None:
        return Verdict(Ruling.NOT_HERE, values, "not-here-slow", "no answer from pip")
    if pip["installs"]:
        return Verdict(Ruling.UNDECIDED, values, "undecided", "it resolves")
    return Verdict(Ruling.NOT_HERE, values, "not-here", "does not install")


def plot(evidence: Evidence) -> Plot | None:  # noqa: ARG001
    """Draw nothing: two answers say it all."""
    return None

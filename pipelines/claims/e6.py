"""E6: TorchVision and TorchAudio are tools for pictures and sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.bench import ChildCall, Effort
from pipelines.claims.plots import Bars

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

PICTURES = "pipelines.claims.experiments.ecosystem.pictures"
CLAIM = Claim(
    id="E6",
    sections=(4,),
    kind="partly",
    sources=(PICTURES, "models.efficientnet_lite0"),
    requires=("torch", "tensorflow", "pillow", "scikit-image", "scikit-learn", "matplotlib"),
    beside=True,
)
NEAR = 3
"""Levels of 0 to 255 that two correct resizings may be apart: both round, and Pillow's weights have 8 bits or so."""
NORMALISED = 1e-5
DECIDES = 0.25
"""Antialiasing, not the framework, decides if with it the frameworks differ by less than this share of the default."""
MODEL = "efficientnet_lite0"
COUNT = {Effort.TINY: 2, Effort.QUICK: 11, Effort.FULL: 11}


def measure(bench: Workbench) -> Evidence:
    """Resize and normalise photographs by each library; with a trained model at hand, look at its labels, too."""
    from pipelines.claims.experiments.ecosystem.pictures import ENVIRONMENT

    request = {"folder": str(bench.folder), "count": COUNT[bench.effort]}
    first = bench.run(ChildCall(f"{PICTURES}:by_torchvision", request, ENVIRONMENT)).value
    found = bench.run(ChildCall(f"{PICTURES}:by_tensorflow", request)).value
    trained, labels = bench.workspace.trained(MODEL), None
    if trained.exists():
        labels = bench.run(
            ChildCall(f"{PICTURES}:labels", {"folder": str(bench.folder), "trained": str(trained)})
        ).value
    facts = {
        "levels": found["levels"],
        "normalised": found["normalised"],
        "labels": labels,
        "pictures": COUNT[bench.effort],
    }
    return Evidence(facts=facts, warnings=(*first, *found["warnings"]))


def judge(evidence: Evidence) -> Verdict:
    """Ask if torchvision resizes as Pillow does, within NEAR levels, and normalises as the formula says.

    It holds if with both filters, and depends if with one. Sound was not tested.
    """
    facts = evidence.facts
    levels = {pair: largest for pair, (largest, _) in facts["levels"].items()}
    near = [levels[f"{name}, torchvision and Pillow"] <= NEAR for name in ("bilinear", "bicubic")]
    both = [f"{name}, TensorFlow and torchvision, both antialias" for name in ("bilinear", "bicubic")]
    values = {
        "pillow": f"{max(levels[f'{name}, torchvision and Pillow'] for name in ('bilinear', 'bicubic')):.0f}",
        "matched": f"{max(levels[pair] for pair in both):.0f}",
        "default": f"{levels['default, TensorFlow and torchvision']:.0f}",
        **_labels(facts),
    }
    number = f"{values['matched']} levels alike, {values['default']} by default"
    if not any(near) or not facts["normalised"] <= NORMALISED:
        return Verdict(Ruling.DOES_NOT_HOLD, values, number=number)
    if not all(near):
        return Verdict(Ruling.DEPENDS, values, number=number)
    decides = max(levels[pair] for pair in both) < DECIDES * levels["default, TensorFlow and torchvision"]
    return Verdict(Ruling.HOLDS, values, "holds" if decides else "holds-apart", number)


def _labels(facts: object) -> dict[str, str]:
    """Say how many labels TensorFlow's default changes, if a model was there."""
    assert isinstance(facts, dict)  # noqa: S101 - evidence is
    found = facts["labels"]
    if found is None:
        return {
            "labels_en": "no trained model was there to look at labels",
            "labels_zh": "没有训练好的模型可用来比较分类结果",
        }
    changed, count = found["TensorFlow default"], facts["pictures"]
    return {
        "labels_en": f"TensorFlow's default changes the label of {changed} of {count} photographs",
        "labels_zh": f"TensorFlow 的默认设置使 {count} 张照片中的 {changed} 张改变了分类结果",
    }


def plot(evidence: Evidence) -> Plot | None:
    """Draw the largest differences, in levels."""
    return Bars({pair: largest for pair, (largest, _) in evidence.facts["levels"].items()}, "levels of 0 to 255")

"""E4: Lightning simplifies training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments import parallel
from pipelines.claims.experiments.statistics import median, ratio
from pipelines.claims.plots import Bars

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

LIGHTNING = "pipelines.claims.experiments.ecosystem.lightning"
CLAIM = Claim(
    id="E4",
    sections=(4,),
    kind="testable",
    sources=(LIGHTNING, parallel.__name__, *parallel.SOURCES),
    requires=("torch", "tensorflow", "keras"),
)
FEWER = 0.8
"""Lightning's script is the simpler one with less than this share of the plain loop's lines. Fixed before measuring."""
MICROSECONDS = 1e6


def measure(bench: Workbench) -> Evidence:
    """Train alike by both and by Keras: lines of code, microseconds a step."""
    from pipelines.claims.experiments.ecosystem import lightning

    found = lightning.measure(bench)
    arms = found["arms"]
    readings = [median(f"{arm}, a step", [one * MICROSECONDS for one in rounds], "us") for arm, rounds in arms.items()]
    more = [one - other for one, other in zip(arms["lightning"], arms["plain"], strict=True)]
    readings.append(median("lightning adds", [one * MICROSECONDS for one in more], "us"))
    again = list(zip(arms.get("plain again", ()), arms["plain"], strict=False))
    controls = (ratio("plain again cpu", again),) if again else ()
    return Evidence(tuple(readings), {name: found[name] for name in ("lines", "differences")}, controls)


def judge(evidence: Evidence) -> Verdict:
    """Compare lines of code, of a bare training and of one with validation, best checkpoint and early stop.

    The claim holds if Lightning needs less than FEWER of the plain loop's lines in both, and depends if in one.
    """
    lines = evidence.facts["lines"]
    bare = lines["lightning_bare"] < FEWER * lines["torch_single"]
    full = lines["lightning_full"] < FEWER * lines["torch_full"]
    words = {
        (True, True): "holds",
        (False, False): "does-not-hold",
        (False, True): "depends",
        (True, False): "depends-bare",
    }[bare, full]
    outcome = {2: Ruling.HOLDS, 1: Ruling.DEPENDS, 0: Ruling.DOES_NOT_HOLD}[bare + full]
    values = {name: str(count) for name, count in lines.items()}
    values["adds"] = f"{evidence.reading('lightning adds').value:.0f}"
    number = (
        f"{values['lightning_bare']}:{values['torch_single']}, {values['lightning_full']}:{values['torch_full']} lines"
    )
    return Verdict(outcome, values, words, f"{number}, {values['adds']} us a step")


def plot(evidence: Evidence) -> Plot | None:
    """Draw what a step of a net with hardly any arithmetic takes."""
    steps = {one.name.partition(",")[0]: one.value for one in evidence.readings if one.name.endswith("a step")}
    return Bars(steps, "CPU microseconds a step")

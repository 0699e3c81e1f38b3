"""D2: TensorFlow 2 runs eagerly by default, flexible and fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.behaviour import facts
from pipelines.claims.experiments.behaviour.parts import value_of, warnings_of

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="D2",
    sections=(1, 6),
    kind="testable",
    experiments=(facts.NAME,),
    sources=facts.SOURCES,
    requires=facts.REQUIRES,
    beside=True,
)
PART = "tensorflow: eager"


def measure(bench: Workbench) -> Evidence:
    """Ask TensorFlow, in its own code and inside a Keras layer, whether it executes eagerly."""
    return Evidence(facts=value_of(bench, facts.NAME, PART), warnings=warnings_of(bench, [(facts.NAME, PART)]))


def judge(evidence: Evidence) -> Verdict:
    """Judge: it holds if every place is eager as it comes, does not hold if none is, else depends on the place."""
    places, on_wish = evidence.facts["as it comes"], evidence.facts["run_eagerly"]
    eager = [place for place, found in places.items() if found]
    values = {
        "eager": ", ".join(eager),
        "graph": ", ".join(place for place, found in places.items() if not found),
        "count": f"{len(eager)}",
        "of": f"{len(places)}",
        "switched": f"{sum(on_wish.values())}",
        "switchable": f"{len(on_wish)}",
        "fit_runs": f"{evidence.facts['runs']['fit']}",
    }
    outcome = Ruling.DEPENDS
    if len(eager) in (0, len(places)):
        outcome = Ruling.HOLDS if eager else Ruling.DOES_NOT_HOLD
    return Verdict(outcome, values, number=f"eager in {len(eager)} of {len(places)} places")


def plot(evidence: Evidence) -> Plot | None:  # noqa: ARG001
    """Draw nothing: two lists say it all."""
    return None

"""L2: Session and Graph must be understood (TensorFlow 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.errors import SlipwayError
from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.behaviour import facts
from pipelines.claims.experiments.behaviour.parts import value_of, warnings_of

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="L2",
    sections=(5,),
    kind="testable",
    experiments=(facts.NAME,),
    sources=(*facts.SOURCES, "serving.tf_serving"),
    requires=(*facts.REQUIRES, "tensorflow-serving-api"),
    beside=True,
)
PART = "tensorflow: sessions"
NEARLY = 0.05
"""How far a served answer may be from the true one, which is 0.5."""


def measure(bench: Workbench) -> Evidence:
    """Train and serve a program of TensorFlow 1, and the same task as it is written today; count the sessions.

    Raises SlipwayError if an answer is wrong, or if the old program opened no session: then the counter is broken.
    """
    found = value_of(bench, facts.NAME, PART)
    answers = {**found["served"], "loaded": found["loaded"], "frozen": found["frozen"]["wrap_function"]}
    if any(abs(answer - found["truth"]) > NEARLY for answer in answers.values()):
        raise SlipwayError(f"the answers should be {found['truth']}. Received: {answers}")
    if not found["sessions"]["old"]:
        raise SlipwayError("the program of TensorFlow 1 was seen to open no session: the counter does not count")
    return Evidence(facts=found, warnings=warnings_of(bench, [(facts.NAME, PART)]))


def judge(evidence: Evidence) -> Verdict:
    """Judge: it holds if today's program opens a session, and does not if it opens none and the old one has to change.

    If the old program still runs as it was written, it depends on the program.
    """
    found = evidence.facts
    values = {
        "old": f"{found['sessions']['old']}",
        "new": f"{found['sessions']['new']}",
        "as_written": found["as written"],
        "layers": found["v1.layers"].rstrip("."),
        "frozen": found["frozen"]["saved_model.load"].partition(":")[0],
    }
    number = f"{values['new']} sessions in a program of today"
    if found["sessions"]["new"]:
        return Verdict(Ruling.HOLDS, values, number=number)
    outcome = Ruling.DEPENDS if found["as written"] == "ok" else Ruling.DOES_NOT_HOLD
    return Verdict(outcome, values, number=number)


def plot(evidence: Evidence) -> Plot | None:  # noqa: ARG001
    """Draw nothing: a number says it all."""
    return None

"""S4: PyTorch debugs naturally: print, breakpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.behaviour import facts
from pipelines.claims.experiments.behaviour.parts import value_of, warnings_of
from pipelines.claims.plots import Grid

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="S4",
    sections=(2, 5),
    kind="testable",
    experiments=(facts.NAME,),
    sources=facts.SOURCES,
    requires=facts.REQUIRES,
    beside=True,
)
PARTS = ("torch: debugged", "tensorflow: debugged")
PROBES = ("print", "breakpoint", "error")
EAGER, EAGER_TOO = "PyTorch eager", "TensorFlow eager"
PASSED = len(PROBES)
"""A mode that debugs naturally passes every probe: 3 of 3. Fixed before measuring."""
MODES = {
    EAGER: "torch",
    "torch.compile": "compiled",
    EAGER_TOO: "tensorflow",
    "tf.function": "function",
    "tf.function + XLA": "xla",
}
"""The modes, and their places in the sentences."""


def measure(bench: Workbench) -> Evidence:
    """Print, stop, and make two mistakes in every mode; look at what its user is shown."""
    modes = {mode: found for part in PARTS for mode, found in value_of(bench, facts.NAME, part).items()}
    return Evidence(facts={"modes": modes}, warnings=warnings_of(bench, [(facts.NAME, part) for part in PARTS]))


def judge(evidence: Evidence) -> Verdict:
    """Judge: it holds if PyTorch, as it comes, passes every probe; another sentence if TensorFlow eager does, too."""
    modes = evidence.facts["modes"]
    scores = {mode: sum(bool(modes[mode][probe]) for probe in PROBES) for mode in MODES}
    values = {**{place: f"{scores[mode]}" for mode, place in MODES.items()}, "of": f"{PASSED}"}
    values["silent"] = ", ".join(mode for mode in MODES if _silent(modes[mode])) or "-"
    number = f"{scores[EAGER]} of {PASSED}"
    if scores[EAGER] < PASSED:
        return Verdict(Ruling.DOES_NOT_HOLD, values, number=number)
    both = scores[EAGER_TOO] == PASSED
    return Verdict(Ruling.HOLDS, values, words="holds-for-both" if both else "", number=number)


def _silent(mode: Mapping[str, Any]) -> bool:
    """Say whether a mistake passed without an error."""
    return any(one["outcome"] == "no error" for one in mode["mistakes"].values())


def plot(evidence: Evidence) -> Plot | None:
    """Draw what each mode shows its user."""
    modes = evidence.facts["modes"]
    cells = tuple(tuple(_word(modes[mode], probe) for probe in PROBES) for mode in MODES)
    return Grid(tuple(MODES), PROBES, cells)


def _word(mode: Mapping[str, Any], probe: str) -> str:
    if mode[probe]:
        return "ok"
    return "silently wrong" if probe == "error" and _silent(mode) else "failed"

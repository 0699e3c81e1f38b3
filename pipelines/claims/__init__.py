"""The claims of the article, one file each. Adding one is one file, its line in :data:`CLAIMS`, its words, its test.

A claim's module imports no framework at its top. It offers::

    CLAIM                            what it is (Claim)
    measure(bench) -> Evidence       measures; Workbench is what experiments run on
    judge(evidence) -> Verdict       pure: the rule, fixed before anything was measured
    plot(evidence) -> Plot | None    pure: the one plot that fits it (plots.py); None where a number says it all

Its sentences, in English and in Chinese, stand in ``texts.toml`` under its id.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from pipelines.base.errors import unknown

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

ARTICLE = "TensorFlow 与 PyTorch区别"
CLAIMS: dict[str, str] = {
    name: f"pipelines.claims.{name.lower()}"
    for name in (
        *("D1", "D2", "D3", "D4", "D5"),
        *("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9"),
        *("P1", "P2", "P3", "P4", "P5"),
        *("E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8"),
        *("L1", "L2"),
        *("V1", "V2", "V3", "V4", "V5", "V6"),
        *("H1", "H2", "H3", "H4", "H5"),
    )
}
"""Maps a claim's id to its module, in the order of the article."""


class Ruling(StrEnum):
    """Names the outcomes of a claim."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does not hold"
    DEPENDS = "depends"
    UNDECIDED = "undecided"
    NOT_HERE = "not testable here"


@dataclass(frozen=True, slots=True)
class ClaimReading:
    """One number with its interval: ``low`` to ``high`` cover the true value with a probability of ``coverage``.

    ``low`` and ``high`` are None for what was counted, or measured once. ``unit`` is ``x`` for a ratio. ``raw`` are
    the numbers that it was computed from, a tuple for each round: of a ratio, the pair (numerator, denominator).
    """

    name: str
    value: float
    unit: str = "x"
    low: float | None = None
    high: float | None = None
    coverage: float | None = None
    raw: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Holds what was measured for a claim.

    ``readings`` are numbers; ``facts`` are exact outcomes (plain JSON: truth values, texts, counts, tables).
    ``controls`` are ratios of a thing to itself, measured as the readings were: if one is off, the session is void.
    ``warnings`` are the deprecations that the experiment met (``distribution version: text``); ``runs`` name the
    reports that the evidence was read from.
    """

    readings: tuple[ClaimReading, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    controls: tuple[ClaimReading, ...] = ()
    warnings: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()

    def reading(self, name: str) -> ClaimReading:
        """Return the reading of that name. Raises KeyError."""
        for one in self.readings:
            if one.name == name:
                return one
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a claim, and the sentence that says it: ``verdicts.WORDS`` of the claim in ``texts.toml``.

    ``values`` are put into the sentence. ``words`` is the outcome's own name (``holds``, ``does-not-hold``,
    ``depends``, ``undecided``, ``not-here``) unless a claim has several sentences for it. ``number`` is the one
    figure that stands for the claim in the ledger.
    """

    outcome: Ruling
    values: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""
    number: str = ""

    @property
    def key(self) -> str:
        """The name of the sentence in the catalogue."""
        return self.words or WORDS[self.outcome]


WORDS = {
    Ruling.HOLDS: "holds",
    Ruling.DOES_NOT_HOLD: "does-not-hold",
    Ruling.DEPENDS: "depends",
    Ruling.UNDECIDED: "undecided",
    Ruling.NOT_HERE: "not-here",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the article that says something.

    ``sections`` are those of the article that say it (1 to 7; 8 is its conclusion), the first where it is shown.
    ``kind`` says how far it can be tested on a processor. ``experiments`` are names of modules in
    ``pipelines.claims.experiments`` whose ``run(bench)`` several claims share; each names in ``REQUIRES`` the
    distributions that it measures, and in ``SOURCES`` the modules besides itself that its numbers come from. The claim
    names its own in ``requires`` and ``sources``. ``reads_runs`` is True for a claim that is computed from the newest
    reports: that takes no time, so it is done anew each time. ``beside`` is True for a claim that measures no time: it
    may be measured while others of its kind are.
    """

    id: str
    sections: tuple[int, ...]
    kind: Literal["testable", "partly", "not here"]
    experiments: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    reads_runs: bool = False
    beside: bool = False


class ClaimModule(Protocol):
    CLAIM: Claim

    def measure(self, bench: Workbench) -> Evidence: ...
    def judge(self, evidence: Evidence) -> Verdict: ...
    def plot(self, evidence: Evidence) -> Plot | None: ...


def claim_module(name: str) -> ClaimModule:
    """Return the module of a claim. Raises UserError, with the nearest ids, for one that is unknown."""
    if name.upper() not in CLAIMS:
        raise unknown("claim", name, (one.lower() for one in CLAIMS))
    return cast(ClaimModule, importlib.import_module(CLAIMS[name.upper()]))

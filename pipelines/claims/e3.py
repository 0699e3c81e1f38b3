"""E3: TensorFlow Hub has thousands of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.bench import ChildCall
from pipelines.claims.plots import Grid

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

HUB = "pipelines.claims.experiments.ecosystem.hub"
CLAIM = Claim(
    id="E3", sections=(4,), kind="partly", sources=(HUB,), requires=("tensorflow", "keras", "setuptools"), beside=True
)
EQUAL = 1e-5
"""The largest difference of an answer from the model's own that counts as equal. Fixed before measuring."""
OF_HUB = ("hub.load", "hub.KerasLayer")


def measure(bench: Workbench) -> Evidence:
    """Load a module from disk with the hub's library and without it."""
    from pipelines.claims.experiments.ecosystem.hub import ENVIRONMENT

    found = bench.run(ChildCall(f"{HUB}:load_three_ways", {"folder": str(bench.folder)}, ENVIRONMENT)).value
    return Evidence(
        facts={
            **{name: found[name] for name in ("ways", "stubs", "setuptools")},
            "with": list(ENVIRONMENT.requirements),
        },
        warnings=tuple(found["warnings"]),
    )


def judge(evidence: Evidence) -> Verdict:
    """Say what the hub's library needs to load a module; how many models there are cannot be counted here."""
    ways, stubs = evidence.facts["ways"], evidence.facts["stubs"]
    good = [name for name, found in ways.items() if _equal(found)]
    values = {"good": ", ".join(good), "stubs": ", ".join(stubs), "setuptools": evidence.facts["setuptools"]}
    number = f"{len(good)} of {len(ways)} ways load"
    if not any(name in good for name in OF_HUB):
        return Verdict(Ruling.NOT_HERE, values, "not-here-broken", number)
    return Verdict(Ruling.NOT_HERE, values, "not-here-stubs" if stubs else "not-here", number)


def _equal(found: float | str) -> bool:
    return not isinstance(found, str) and found <= EQUAL


def plot(evidence: Evidence) -> Plot | None:
    """Draw which way loaded the module."""
    ways = evidence.facts["ways"]
    return Grid(tuple(ways), ("answer",), tuple(("ok" if _equal(found) else "failed",) for found in ways.values()))

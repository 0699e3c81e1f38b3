"""S1: TensorFlow has the complete chain: Serving, Lite, JS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.deployment import runs
from pipelines.claims.status import technologies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="S1",
    sections=(2,),
    kind="testable",
    sources=("pipelines.claims.experiments.deployment.runs", "pipelines.claims.status"),
    reads_runs=True,
)

LINKS = {"Serving": "tf-serving", "Lite": "litert", "JS": "tfjs"}
"""The links of the chain, and slipway's path for each; a path that is in no report was not tried."""
NEEDED = ("Serving", "Lite")
"""Links without which nothing can be said."""
ABOUT = {"Serving": "tf-serving", "Lite": "litert", "JS": "tensorflow-js"}


def measure(bench: Workbench) -> Evidence:
    """Read out of the newest runs how far each model came on each link; the states of the links beside it."""
    reports = bench.reports()
    links = {
        link: runs.taken(reports, lambda one, path=path: one.path == path)  # type: ignore[misc]
        for link, path in LINKS.items()
    }
    packaged = {
        runs.name_of(one): one.package.cpu_s
        for report in reports.values()
        for one in report.artifacts
        if one.path in LINKS.values() and one.package
    }
    facts = {
        "links": {link: models for link, models in links.items() if any(models.values())},
        "models": list(reports),
        "packaging_cpu_s": packaged,
        "states": {link: technologies()[name].says() for link, name in ABOUT.items()},
    }
    return Evidence(facts=facts, runs=runs.named(reports))


def judge(evidence: Evidence) -> Verdict:
    """Hold it if every link took every model by one variant at least; a link that was not tried leaves it open."""
    links, models = _tested(evidence.facts.get("links", {})), evidence.facts.get("models", [])
    if any(link not in links for link in NEEDED):
        return Verdict(Ruling.UNDECIDED)
    reached = {link: [model for model in models if "ok" in links[link].get(model, {}).values()] for link in links}
    ok, tried = runs.share([word for found in links.values() for words in found.values() for word in words.values()])
    count = min(len(found) for found in reached.values())
    values = {"models": len(models), "reached": count, "ok": ok, "tried": tried, "links": len(links)}
    number = f"{ok} of {tried}"
    if count == 0:
        return Verdict(Ruling.DOES_NOT_HOLD, values, number=number)
    if count < len(models):
        return Verdict(Ruling.DEPENDS, values, number=number)
    if len(links) < len(LINKS):
        return Verdict(Ruling.DEPENDS, values, "two-of-three", number)
    return Verdict(Ruling.HOLDS, values, number=number)


def _tested(links: Mapping[str, Mapping[str, Mapping[str, str]]]) -> dict[str, Mapping[str, Mapping[str, str]]]:
    """Return the links of which a variant was tried: what a missing library skipped says nothing about a link."""
    return {
        link: found
        for link, found in links.items()
        if any(word != "skipped" for words in found.values() for word in words.values())
    }


def plot(evidence: Evidence) -> Plot | None:
    """Show every variant of every link against every model."""
    links, models = evidence.facts["links"], evidence.facts["models"]
    return runs.grid({model: _merged([links[link].get(model, {}) for link in links]) for model in models})


def _merged(parts: list[dict[str, str]]) -> dict[str, str]:
    return {name: word for part in parts for name, word in part.items()}

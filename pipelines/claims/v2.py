"""V2: TorchScript and ONNX: static export and deployment across frameworks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.deployment.runs import grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(id="V2", sections=(6,), kind="testable", experiments=("deployment.exports",), beside=True)

SCRIPT, ONNX = ("jit.trace", "jit.script"), ("ONNX Runtime", "OpenVINO")
"""The routes of the claim. A network passes by TorchScript if either is ok: a user takes the one that works. It passes
by ONNX if both runtimes, of other makers, are ok: that is ``across frameworks``. torch.export is shown beside them."""
HALF = 0.5
"""Below this share of networks, a way out that fails is the rule and not the exception."""


def measure(bench: Workbench) -> Evidence:
    """Take the foreign networks through every route."""
    found = bench.shared("deployment.exports")
    return Evidence(facts={"networks": found["networks"]}, warnings=tuple(found["warnings"]))


def judge(evidence: Evidence) -> Verdict:
    """Hold it if every network passes by both ways; one silently wrong answer is enough to make it depend."""
    networks: Mapping[str, Mapping[str, Mapping[str, str]]] = evidence.facts.get("networks", {})
    if not networks:
        return Verdict(Ruling.UNDECIDED)
    words: dict[str, dict[str, str]] = {
        name: {route: one["word"] for route, one in routes.items()} for name, routes in networks.items()
    }
    script = sum(any(routes[route] == "ok" for route in SCRIPT) for routes in words.values())
    onnx = sum(all(routes[route] == "ok" for route in ONNX) for routes in words.values())
    export = sum(routes["torch.export"] == "ok" for routes in words.values())
    wrong = sum(routes[route] == "silently wrong" for routes in words.values() for route in (*SCRIPT, *ONNX))
    values = {"script": script, "onnx": onnx, "export": export, "wrong": wrong, "networks": len(words)}
    number = f"TorchScript {script}, ONNX {onnx} of {len(words)}"
    if script < HALF * len(words) and onnx < HALF * len(words):
        return Verdict(Ruling.DOES_NOT_HOLD, values, number=number)
    if wrong:
        return Verdict(Ruling.DEPENDS, values, "silently-wrong", number)
    holds = script == onnx == len(words)
    return Verdict(Ruling.HOLDS if holds else Ruling.DEPENDS, values, number=number)


def plot(evidence: Evidence) -> Plot | None:
    """Show every network against every route."""
    networks = evidence.facts["networks"]
    routes = list(next(iter(networks.values()), {}))
    return grid({route: {name: found[route]["word"] for name, found in networks.items()} for route in routes})

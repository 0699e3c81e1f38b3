"""V5: TFX and MLOps: deployment and monitoring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.base.errors import NotPossible
from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments.bench import Effort
from pipelines.claims.experiments.deployment.monitored import WATCHED, watch
from pipelines.claims.plots import Grid

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="V5",
    sections=(6,),
    kind="partly",
    sources=("pipelines.claims.experiments.deployment.monitored",),
    requires=("tensorflow", "torchserve", "kserve", "onnxruntime"),
)

OURS = "TF Serving"
STAND_IN = "slipway's "
"""A server whose name begins so is slipway's own: its metrics are slipway's code, and prove nothing of Google's."""
NEEDED = ("requests", "errors", "latency histogram")
"""What monitoring needs at least: rate, errors and durations of requests (T. Wilkie's RED method, 2015); without a
histogram there are no percentiles."""
BESIDE = ("queue", "memory")


def measure(bench: Workbench) -> Evidence:
    """Serve a packaged model by each real server, and see which requests its metrics show.

    Raises NotPossible, with the command that packages a model, if there is nothing to serve.
    """
    servers, missing = {}, {}
    for number, name in enumerate(WATCHED):
        bench.tell(f"metrics of {name}")
        try:
            servers[name] = watch(bench.workspace, name, bench.folder / str(number))
        except NotPossible as error:
            missing[name] = str(error)
    if OURS not in servers and (bench.effort is not Effort.TINY or not servers):
        raise NotPossible(next(iter(missing.values())))
    return Evidence(facts={"servers": servers, "missing": missing})


def judge(evidence: Evidence) -> Verdict:
    """Hold it if TF Serving's metrics show all that monitoring needs; count the same for the other servers.

    Of slipway's own server of its API, that shows what the API can offer, and no more.
    """
    servers = evidence.facts.get("servers", {})
    if OURS not in servers:
        return Verdict(Ruling.UNDECIDED)
    counts = {name: sum(bool(found["shows"][kind]) for kind in NEEDED) for name, found in servers.items()}
    others = " · ".join(f"{name} {count}/{len(NEEDED)}" for name, count in counts.items() if name != OURS)
    values = {"count": counts[OURS], "needed": len(NEEDED), "others": others or "-"}
    number = f"{counts[OURS]} of {len(NEEDED)}"
    if counts[OURS] == len(NEEDED):
        if servers[OURS]["server"].startswith(STAND_IN):
            return Verdict(Ruling.DEPENDS, values, "own-server", number)
        return Verdict(Ruling.HOLDS, values, number=number)
    return Verdict(Ruling.DEPENDS if counts[OURS] else Ruling.DOES_NOT_HOLD, values, number=number)


def plot(evidence: Evidence) -> Plot | None:
    """Show which server shows what."""
    servers = evidence.facts["servers"]
    kinds = (*NEEDED, *BESIDE)
    cells = tuple(tuple("ok" if servers[name]["shows"][kind] else "skipped" for name in servers) for kind in kinds)
    return Grid(kinds, tuple(servers), cells)

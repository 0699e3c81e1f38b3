"""V3: TorchElastic: elastic training, fault tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.claims import Claim, Evidence, Ruling, Verdict
from pipelines.claims.experiments import elastic, parallel
from pipelines.claims.experiments.statistics import median
from pipelines.claims.plots import Timeline

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench
    from pipelines.claims.plots import Plot

CLAIM = Claim(
    id="V3",
    sections=(6,),
    kind="testable",
    sources=(elastic.__name__, parallel.__name__, *parallel.SOURCES),
    requires=("torch", "tensorflow", "keras"),
)
EQUAL = 1e-5
"""The largest difference of a weight from the undisturbed run's that counts as equal. Fixed before measuring."""


def measure(bench: Workbench) -> Evidence:
    """Kill workers of both frameworks, and read their journals."""
    found = elastic.measure(bench)
    back = [one for one in found["torchrun"] if one["seconds"] is not None]
    readings = []
    if back:
        readings = [
            median("seconds to the next step", [one["seconds"] for one in back], "s"),
            median("steps lost", [one["lost"] for one in back], "steps"),
        ]
    return Evidence(tuple(readings), found)


def judge(evidence: Evidence) -> Verdict:
    """Ask of every kill: did the training end by itself, with the weights of the undisturbed run?

    The claim holds if torchrun came back after every kill of a worker, and went on with one machine fewer; it depends
    if it did one of the two; undecided if two undisturbed runs differ.
    """
    facts = evidence.facts
    kills = facts["torchrun"]
    good, machine = sum(map(_equal, kills)), facts["machine"]
    if facts["again"] > EQUAL or not kills:
        return Verdict(Ruling.UNDECIDED, {"difference": f"{facts['again']:.1e}"})
    seconds = f"{machine['seconds']:.0f}" if machine and machine["seconds"] is not None else "?"
    values = (
        {"good": good, "kills": len(kills), "machine": seconds} | _took(evidence) | _tensorflow(facts["tensorflow"])
    )
    tolerant, elastic_too = good == len(kills), machine is None or (_equal(machine) and machine["workers"][1] == 1)
    number = f"{good} of {len(kills)}"
    if tolerant and elastic_too:
        return Verdict(Ruling.HOLDS, values, "holds" if machine else "holds-worker", number)
    if tolerant:
        return Verdict(Ruling.DEPENDS, values, "depends", number)
    return Verdict(Ruling.DOES_NOT_HOLD, values, "does-not-hold", number)


def _equal(after: dict[str, Any]) -> bool:
    return after["difference"] is not None and after["difference"] <= EQUAL


def _took(evidence: Evidence) -> dict[str, str]:
    """Write out the seconds and the steps that a kill cost."""
    if not evidence.readings:
        return {"seconds": "?", "lost": "?"}
    lost = evidence.reading("steps lost")
    low, high = (int(pick(value for (value,) in lost.raw)) for pick in (min, max))
    return {
        "seconds": f"{evidence.reading('seconds to the next step').value:.0f}",
        "lost": str(low) if low == high else f"{low}–{high}",
    }


def _tensorflow(found: dict[str, Any]) -> dict[str, str]:
    """Say in both languages what became of TensorFlow's trainings."""
    worker = found["worker"]
    ended = worker["code"] not in (0, None) and not worker["trained"]
    en = ["a killed worker ends TensorFlow's whole job" if ended else "TensorFlow's other worker did not end by itself"]
    zh = ["TensorFlow 的一个进程被杀后整个任务随之终止" if ended else "TensorFlow 的另一个进程没有自行结束"]
    if worker["trained"]:
        en, zh = ["TensorFlow's other worker trained on"], ["TensorFlow 的另一个进程继续完成了训练"]
    said = {
        "backup": ("BackupAndRestore once an epoch", "按轮次保存的 BackupAndRestore"),
        "backup-steps": ("BackupAndRestore every few steps", "按步数保存的 BackupAndRestore"),
        "sigterm": ("a handler of SIGTERM", "SIGTERM 处理程序"),
    }
    for name, (english, chinese) in said.items():
        if name in found:
            good = _equal(found[name])
            en.append(f"{english}, started again by hand, ends with {'equal' if good else 'other'} weights")
            zh.append(f"{chinese}在手动重启后得到{'相同' if good else '不同'}的权重")
    return {"tensorflow_en": "; ".join(en), "tensorflow_zh": "；".join(zh)}


def plot(evidence: Evidence) -> Plot | None:
    """Draw the first kill: when each worker was at its steps."""
    kills = [one for one in evidence.facts["torchrun"] if one["journal"]]
    if not kills:
        return None
    one = kills[0]
    spans: dict[str, tuple[tuple[float, float, str], ...]] = {}
    for rank in sorted({entry[1] for entry in one["journal"]}):
        parts = []
        for part in (
            [entry for entry in one["journal"] if entry[1] == rank and entry[0] <= one["killed_s"] + GRACE_S],
            [entry for entry in one["journal"] if entry[1] == rank and entry[0] > one["killed_s"] + GRACE_S],
        ):
            if part:
                parts.append((part[0][0], part[-1][0], f"steps {part[0][2] + 1} to {part[-1][2] + 1}"))
        spans[f"worker {rank}"] = tuple(parts)
    back = one["killed_s"] + one["seconds"]
    events = {"torchrun": ((one["killed_s"], "SIGKILL of worker 1"), (back, f"next step, {one['lost']} done again"))}
    return Timeline(events, spans)


GRACE_S = 0.5
"""The other worker may note the step that it was at for so long after the kill; nobody is back sooner."""

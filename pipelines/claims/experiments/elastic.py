"""Strikes one of two training processes down, and looks at what becomes of the training."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.base.errors import SlipwayError
from pipelines.claims.experiments.bench import ChildCall, Effort, Workbench
from pipelines.claims.experiments.launching import cluster, complete, finished, launched, script, torchrun
from pipelines.claims.experiments.parallel import difference_of
from serving.launch import LOOPBACK, free_ports

SIZES = {Effort.TINY: (50, 64, 64), Effort.QUICK: (60, 256, 256), Effort.FULL: (80, 512, 512)}
"""Steps, width and batch."""
ROUNDS = {Effort.TINY: 1, Effort.QUICK: 1, Effort.FULL: 5}
EVERY = 20
"""A checkpoint every 20 steps: the EVERY of scripts/torch_elastic.py."""
RESTARTS = ("--nnodes", "1", "--max-restarts", "2")
MACHINES = ("--nnodes", "1:2", "--max-restarts", "4")
LAST_CALL_S = 5
"""Of two machines one may go: how long the rest waits for others before it goes on alone, 30 s by default."""
TIMEOUT_S = 150.0
PATIENCE_S = 60.0
"""Seconds that TensorFlow's other worker is given to notice."""
HERE = "pipelines.claims.experiments.elastic"


def measure(bench: Workbench) -> dict[str, Any]:
    """Strike PyTorch's workers and TensorFlow's; return what became of each, plain JSON."""
    words, draw = list(SIZES[bench.effort]), random.Random(bench.seed)  # noqa: S311 - when, not a secret
    steps = [draw.randrange(EVERY + 2, words[0] - 2) for _ in range(ROUNDS[bench.effort])]
    calm = bench.folder / "calm"
    calm.mkdir()

    def call(function: str, **request: Any) -> ChildCall:
        return ChildCall(f"{HERE}:{function}", {"words": words, **request}, timeout_s=3 * TIMEOUT_S)

    def job(function: str, **request: Any) -> Any:
        return bench.run(call(function, **request)).value

    runs = 2 if bench.effort is Effort.FULL else 1
    again = job("undisturbed", folder=str(calm), runs=runs)
    found: dict[str, Any] = {"again": again, "torchrun": [], "machine": None}
    restarted: dict[str, dict[str, Any]] = {}
    for number, step in enumerate(steps, 1):
        bench.tell(f"a worker is killed after step {step} ({number} of {len(steps)})")
        found["torchrun"].append(job("worker_killed", step=step, calm=str(calm)))
    if bench.effort is Effort.FULL:
        bench.tell("a whole machine is taken away")
        found["machine"] = job("machine_killed", step=steps[0], calm=str(calm))
        second = steps[0] + words[0]  # in the second epoch: in the first, there is no backup of an epoch yet
        restarted = {
            "backup": {"name": "keras_backup", "signal": "SIGKILL", "step": second, "options": ["epoch"]},
            "backup-steps": {"name": "keras_backup", "signal": "SIGKILL", "step": second, "options": ["15"]},
            "sigterm": {"name": "keras_sigterm", "signal": "SIGTERM", "step": steps[0], "options": []},
        }
    bench.tell("TensorFlow's trainings are killed")
    calls = {name: call("keras_killed", **request) for name, request in restarted.items()}
    found["tensorflow"] = bench.at_once({**calls, "worker": call("tensorflow_worker_killed", step=steps[0])})
    return found


def undisturbed(words: list[int], folder: str, runs: int) -> float:
    """Train without a disturbance; of two runs, return the largest difference of a weight: they have to be equal."""
    places = [Path(folder, name) for name in ("one", "other")[:runs]]
    for place in places:
        place.mkdir()
        complete(torchrun("torch_elastic", place, *words, options=RESTARTS), place / "log", [{}], TIMEOUT_S)
    return difference_of(places[0] / "0.npz", places[-1] / "0.npz")


def worker_killed(words: list[int], step: int, calm: str) -> dict[str, Any]:
    """Kill one of two workers of torchrun; return what became of the training (:func:`_after`)."""
    strike = {"STRIKE": json.dumps({"step": step, "signal": "SIGKILL", "rank": 1})}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with launched(torchrun("torch_elastic", folder, *words, options=RESTARTS), folder / "log", [strike]) as running:
            finished(running, TIMEOUT_S)  # whatever its exit code: a training that does not come back is a result
        return _after(folder, Path(calm, "one", "0.npz"))


def machine_killed(words: list[int], step: int, calm: str) -> dict[str, Any]:
    """Kill one of two agents of torchrun with its worker; return what became of the training, as above."""
    # The one that stays is the host of the rendezvous: without it nobody can meet.
    conf = [{"PET_RDZV_CONF": f"last_call_timeout={LAST_CALL_S},is_host={host}"} for host in (1, 0)]
    watched = {"STRIKE": "{}", **conf[0]}
    strike = {"STRIKE": json.dumps({"step": step, "signal": "SIGKILL", "agent": True}), **conf[1]}
    with tempfile.TemporaryDirectory() as place:
        folder, port = Path(place), free_ports(1)[0]
        rendezvous = ["--rdzv-endpoint", f"{LOOPBACK}:{port}", "--rdzv-id", str(port), "--nproc-per-node", "1"]
        command = torchrun("torch_elastic", folder, *words, options=(*MACHINES, *rendezvous))
        with launched(command, folder / "log", [watched, strike]) as running:
            finished(running, TIMEOUT_S)
        return _after(folder, Path(calm, "one", "0.npz"))


def _after(folder: Path, reference: Path) -> dict[str, Any]:
    """Read the journal of a training in which a process was killed.

    ``seconds`` from the signal to the end of the first step after it, ``lost`` steps that were done a second time,
    ``difference`` of the final weights from the undisturbed run's, ``workers`` before and after, and ``journal``:
    [second after the start, rank, step].
    """
    entries = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    if not (folder / "struck").exists():
        raise SlipwayError("the training was over before a process could be killed")
    struck = float((folder / "struck").read_text())
    before = [one for one in entries if one["time"] <= struck]
    known = {one["pid"] for one in before}
    after = [one for one in entries if one["pid"] not in known]
    if not after or not (folder / "0.npz").exists():
        return {"seconds": None, "lost": None, "difference": None, "workers": [len(known), 0], "journal": []}
    first = entries[0]["time"]
    return {
        "seconds": min(one["time"] for one in after) - struck,
        "lost": max(one["step"] for one in before) + 1 - min(one["step"] for one in after),
        "difference": difference_of(folder / "0.npz", reference),
        "workers": [_workers(before), _workers(after)],
        "killed_s": struck - first,
        "journal": [[round(one["time"] - first, 3), one["rank"], one["step"]] for one in entries],
    }


def _workers(entries: Sequence[Mapping[str, Any]]) -> int:
    """Count the workers that did the last step."""
    last = max(one["step"] for one in entries)
    return len({one["rank"] for one in entries if one["step"] in (last, last - 1)})


def keras_killed(words: list[int], name: str, signal: str, step: int, options: list[str]) -> dict[str, Any]:
    """Signal a Keras training in one process, start it again by hand; return what became of its weights."""
    with tempfile.TemporaryDirectory() as place:
        folders = {one: Path(place, one) for one in ("calm", "struck")}
        for one in folders.values():
            one.mkdir()
        complete(script(name, folders["calm"], *words, *options), folders["calm"] / "log", [{}], TIMEOUT_S)
        strike = {"STRIKE": json.dumps({"step": step, "signal": signal})}
        command, log = script(name, folders["struck"], *words, *options), folders["struck"] / "log"
        for _ in range(2):
            with launched(command, log, [strike]) as running:
                finished(running, TIMEOUT_S)
        entries = [json.loads(line) for line in (folders["struck"] / "journal.jsonl").read_text().splitlines()]
        first = [one["step"] for one in entries if one["pid"] == entries[0]["pid"]]
        again = [one["step"] for one in entries if one["pid"] != entries[0]["pid"]]
        ended = (folders["struck"] / "0.npz").exists()
        difference = difference_of(folders["struck"] / "0.npz", folders["calm"] / "0.npz") if ended else None
    return {"lost": max(first) + 1 - min(again) if again else None, "difference": difference}


def tensorflow_worker_killed(words: list[int], step: int) -> dict[str, Any]:
    """Kill one of two workers of MultiWorkerMirroredStrategy; return how the other ended, and after how long.

    ``code`` is None if it was still waiting after the time that is given to it.
    """
    strikes = [{"STRIKE": "{}"}, {"STRIKE": json.dumps({"step": step, "signal": "SIGKILL"})}]
    environments = [{**place, **strike} for place, strike in zip(cluster(), strikes, strict=True)]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with launched(script("keras_loop_multiworker", folder, *words), folder / "log", environments) as running:
            running[1].wait(TIMEOUT_S)
            if not (folder / "struck").exists():
                raise SlipwayError("the training was over before a worker could be killed")
            begun = time.monotonic()
            try:
                codes = finished(running[:1], PATIENCE_S)
            except SlipwayError:
                codes = [None]  # type: ignore[list-item]
            waited = time.monotonic() - begun
        trained = (folder / "0.npz").exists()
    return {"code": codes[0], "seconds": waited, "trained": trained}

"""What an engine costs that carries generators on several hosts: ``python benchmarks/loadtest/engines.py --python P``.

P is a Python with the engines and psutil (``pip install ray locust dask distributed execnet psutil``), in an
environment of its own; an engine that is not there is a row with that reason. For each, two workers are started on
this machine (over an SSH server of the test suite, where the engine goes by ssh), and measured: the time until both
work, the memory of all its processes, their CPU time while they wait, how far apart two workers hear a ``go``, and how
late the load generator sends beside it. The last row is what slipway does: its agents, while they run a test with live
figures.
Writes benchmarks/results/loadtest_engines.json; ``python benchmarks/figures.py`` shows it in the README.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from engine_trials import APART, ENGINES, GOES, HOSTS, MARK

from pipelines.loadtest.hosts import Hosts, RemotePart
from pipelines.loadtest.measure import measure
from pipelines.loadtest.plan import Plan
from pipelines.loadtest.schedule import schedule_of
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.several import measure_together
from pipelines.loadtest.truth.start import Truth, ground_truth
from pipelines.machine import this_machine

REPOSITORY = Path(__file__).parents[2]
RESULT = REPOSITORY / "benchmarks" / "results" / "loadtest_engines.json"
sys.path.append(str(REPOSITORY / "tests" / "pipelines" / "loadtest"))
import ssh_server  # noqa: E402

BODY = b"x" * 3_000
BESIDE = LoadSettings("server", 3.0, 0.5, rate_per_s=300.0)
"""What the generator sends while an engine waits beside it."""
IDLE_S = 6.0
START_S = 120.0
NONE, OURS = "none", "slipway over openssh"
PACKAGES = {"dask": "distributed", "ray": "ray", "locust": "locust", "execnet": "execnet"}
SECURITY = {
    "openssh": "keys of both ends; encrypted",
    "execnet": "as ssh, which carries it",
    "locust": "neither",
    "dask": "neither, TLS by choice; pickles",
    "ray": "a token on one host, TLS by choice; pickles",
    OURS: "keys of both ends; encrypted",
}
"""Who is there, and who can listen, as these versions do it by default (their documentation)."""


@contextmanager
def ssh_hosts(folder: Path) -> Iterator[Path]:
    """An SSH server that both hosts' names lead to; its processes carry the trial's mark, it does not count."""
    os.environ[MARK] = uuid.uuid4().hex
    ssh_server.make_keys(folder)
    serve = [sys.executable, ssh_server.__file__, "127.0.0.1", str(folder)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            os.environ[APART] = str(process.pid)
            yield ssh_server.ssh_config(folder, dict.fromkeys(HOSTS, ("127.0.0.1", port)))
        finally:
            process.kill()


def lag_us(truth: Truth) -> dict[str, float | None]:
    """How late the generator sends, with whatever else runs on the machine."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(truth.call("/echo/2"), [BODY], lambda *_: True, BESIDE, Path(folder))
    return {"send_lag_p50_us": found.send_lag_p50_us, "send_lag_p99_us": found.send_lag_p99_us}


def trial(engine: str, python: str, config: Path, truth: Truth) -> dict[str, Any]:
    """One engine, up and waiting, and a load test beside it."""
    if engine == NONE:
        return dict(lag_us(truth))
    if engine == OURS:
        return ours(config, truth)
    words = [python, str(Path(__file__).with_name("engine_trials.py")), engine, str(config), str(IDLE_S)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                errors.seek(0)
                return {"reason": errors.read().strip().splitlines()[-1][:200]}
            lag = lag_us(truth)
            return {**json.loads(process.stdout.readline()), **lag}
        finally:
            process.kill()
            end_marked()


def marked() -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if one.environ().get(MARK) == os.environ[MARK] and str(one.pid) != os.environ[APART]:
                found.append(one)
    return found


def end_marked() -> None:
    """What an engine leaves behind: it would disturb the next one."""
    left = [one for one in marked() if one.pid != os.getpid()]
    for one in left:
        with suppress(psutil.Error):
            one.kill()
    psutil.wait_procs(left, timeout=10)


def agents() -> list[psutil.Process]:
    """The processes that stand between the coordinator and its generators: ssh's clients, shells and agents."""
    found = []
    for one in marked():
        with suppress(psutil.Error):
            words = " ".join(one.cmdline())
            if "pipelines.loadtest.agent" in words:
                found.append(one)
    return found


def ours(config: Path, truth: Truth) -> dict[str, Any]:
    """Slipway's agents: what is between the coordinator and the generators, while these run."""
    hosts = Hosts(HOSTS, sys.executable, config)
    found: dict[str, Any] = {}
    usage: list[tuple[float, float]] = []

    def watch(share: float, _: object) -> None:
        running = agents()
        if share > 0.1 and len(running) == found.setdefault("processes", len(running)) > 0:
            usage.append((time.monotonic(), sum(sum(one.cpu_times()[:2]) for one in running)))
            if "memory_bytes" not in found:
                found["memory_bytes"] = sum(one.memory_full_info().pss for one in running)

    call = truth.call("/echo/2")
    with tempfile.TemporaryDirectory() as folder:
        result, _ = measure_together(call, [BODY], lambda *_: True, BESIDE, Path(folder), watch=watch, hosts=hosts)
    (first_s, first_cpu), (last_s, last_cpu) = usage[0], usage[-1]
    found["idle_cpu_share"] = (last_cpu - first_cpu) / (last_s - first_s)
    found |= {"send_lag_p50_us": result.send_lag_p50_us, "send_lag_p99_us": result.send_lag_p99_us}
    found["clock_bound_us"] = max(part.clock_bound_us or 0.0 for part in result.parts)
    return found | start_and_clocks(hosts, truth)


def start_and_clocks(hosts: Hosts, truth: Truth) -> dict[str, Any]:
    """The time until two hosts have the plan and their clocks are read; how wrong these, which are this one's."""
    plan = Plan(truth.call("/echo"), [BODY], BESIDE, schedule_of(BESIDE), 0)
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / host for host in hosts.names]
        for place in places:
            place.mkdir()
        started = time.monotonic()
        parts = [RemotePart(place.name, place, place.name, hosts, 0.0) for place in places]
        try:
            with ThreadPoolExecutor(len(parts)) as pool:
                list(pool.map(lambda part: part.prepare(plan), parts))
            ready_s = time.monotonic() - started
            wrong = [abs(one._clock().ahead_ns) / 1e3 for one in parts for _ in range(GOES)]
        finally:
            for one in parts:
                one.close()
    return {"start_s": ready_s, "go_spread_p50_us": statistics.median(wrong), "go_spread_max_us": max(wrong)}


def version_of(engine: str, python: str) -> str:
    if engine == NONE:
        return ""
    if engine in ("openssh", OURS):
        text = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr
        return text.split()[0].removeprefix("OpenSSH_").rstrip(",")
    ask = f"from importlib.metadata import version; print(version({PACKAGES[engine]!r}))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    rows = [one for one in (NONE, *ENGINES, OURS) if not options.only or one in options.only]
    runs: dict[str, list[dict[str, Any]]] = {one: [] for one in rows}
    with (
        tempfile.TemporaryDirectory() as folder,
        ground_truth("http") as truth,  # comes before the mark, and does not count
        ssh_hosts(Path(folder)) as config,
    ):
        for number in range(options.runs):
            for engine in rows:
                runs[engine].append(trial(engine, options.python, config, truth))
                print(f"run {number + 1}: {engine}: {runs[engine][-1]}", flush=True)
    found = []
    for engine in rows:
        good = [one for one in runs[engine] if "reason" not in one]
        row: dict[str, Any] = {"engine": engine, "version": version_of(engine, options.python)}
        row["security"] = SECURITY.get(engine, "")
        if not good:
            row["reason"] = runs[engine][-1]["reason"]
        for name in good[0] if good else ():
            values = [one[name] for one in good if one[name] is not None]
            # Other work on the machine only adds to the lag, and much: the best run says most.
            of = min if name.startswith("send_lag") else statistics.median
            row[name] = of(values) if values else None
        found.append(row)
    measured = datetime.datetime.now(datetime.UTC).date().isoformat()
    result = {"rows": found, "runs": options.runs, "machine": asdict(this_machine()), "measured": measured}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

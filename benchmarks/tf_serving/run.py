"""Compares slipway's server of TF Serving's API with KServe's Python server and with in-process calls.

    python benchmarks/tf_serving/run.py [--runs 5] [--seconds 2] [--output benchmarks/results/tf_serving.json]

CPU time is that of the server's process; the load comes from another. Every number is the median of the runs, and
numbers that are compared are measured in turn, run by run, on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import networks
from servers import IN_PROCESS, KSERVE, OURS, Load, in_process, offer, running

# Half of the clients' requests make a batch: while it runs, the other half is read and answered.
CLIENTS, ROWS = 16, 8
BATCHING = f"""max_batch_size {{ value: {ROWS} }}
batch_timeout_micros {{ value: 1000 }}
max_enqueued_batches {{ value: 1000 }}
num_batch_threads {{ value: 2 }}
"""
RESULTS = Path(__file__).parents[1] / "results" / "tf_serving.json"

Row = dict[str, Any]


def main() -> None:
    """Measures, prints the table, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        built = networks.build(Path(folder))
        (Path(folder) / "batching.txt").write_text(BATCHING)
        found = {"machine": machine(), "runs": options.runs, "seconds": options.seconds, "rows": []}
        print(found["machine"], flush=True)
        for measure in (one_client, side_by_side, batching, footprint):
            rows = measure(built, options.runs, options.seconds)
            found["rows"] += rows
            for row in rows:
                print(sentence(row), flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=2) + "\n")


def one_client(built: dict[str, networks.Model], runs: int, seconds: float) -> list[Row]:
    """Measures the CPU time per request of one client, and the part that is not the model's own call."""
    loads = [
        ("digits", Load("content"), 0.6),
        ("pictures", Load("floats"), 1.2),
        ("pictures", Load("content"), 1.2),
        ("pictures", Load("json"), 6.0),
    ]
    rows = []
    for name, load, limit in loads:
        model = built[name]
        load = Load(load.form, 1, seconds)
        with ExitStack() as stack:
            ours, kserve = (stack.enter_context(running(kind, model)) for kind in (OURS, KSERVE))
            taken: dict[str, list[Any]] = {OURS: [], KSERVE: [], "session": [], "documented": []}
            for _ in range(runs):
                taken[OURS].append(offer(ours, load))
                taken[KSERVE].append(offer(kserve, load))
                for how in ("session", "documented"):
                    taken[how].append(in_process(model, min(seconds, 1.0), 1, how)["cpu_ms"])
        calls = {how: statistics.median(taken[how]) for how in ("session", "documented")}
        call = min(calls.values())
        cpu = {kind: median(taken[kind], lambda one: one.cpu_ms) for kind in (OURS, KSERVE)}
        beyond = cpu[OURS] if load.form == "json" else cpu[OURS] - call
        what = "CPU ms a request" + ("" if load.form == "json" else " beyond the model's call")
        rows.append(
            {
                "load": f"{'REST' if load.form == 'json' else 'gRPC'}, {name}, {load.form}, one client",
                "what": what,
                "value": beyond,
                "to_reach": f"<= {limit}",
                "reached": beyond <= limit and (name != "digits" or cpu[OURS] < cpu[KSERVE]),
                "cpu_ms": cpu | {f"{IN_PROCESS}, {how}": value for how, value in calls.items()},
                "rate_per_s": {kind: median(taken[kind], lambda one: one.rate_per_s) for kind in (OURS, KSERVE)},
                "p50_ms": {kind: median(taken[kind], lambda one: one.p50_ms) for kind in (OURS, KSERVE)},
            }
        )
    return rows


def side_by_side(built: dict[str, networks.Model], runs: int, seconds: float) -> list[Row]:
    """Measures the throughput of two clients, with a model of 10 ms and more, beside two threads in process."""
    model = built["heavy"]
    with ExitStack() as stack:
        ours, kserve = (stack.enter_context(running(kind, model)) for kind in (OURS, KSERVE))
        taken = [
            {
                IN_PROCESS: in_process(model, seconds, 2),
                OURS: offer(ours, Load("content", 2, seconds)).rate_per_s,
                KSERVE: offer(kserve, Load("content", 2, seconds)).rate_per_s,
            }
            for _ in range(runs)
        ]
    rates = {kind: statistics.median(one[kind] for one in taken) for kind in (OURS, KSERVE)}
    rates[IN_PROCESS] = statistics.median(one[IN_PROCESS]["rate_per_s"] for one in taken)
    # Run by run, because the machine's other work changes from one to the next.
    share = statistics.median(one[OURS] / one[IN_PROCESS]["rate_per_s"] for one in taken)
    call = statistics.median(one[IN_PROCESS]["cpu_ms"] for one in taken)
    # Two threads in process keep two cores busy. If they do not, something else did, and the share says nothing.
    cores = rates[IN_PROCESS] * call / 1e3
    is_quiet = cores >= 0.9 * min(2, os.cpu_count() or 1)
    return [
        {
            "load": f"gRPC, heavy ({call:.1f} ms a call), 2 clients",
            "what": "share of in-process throughput",
            "value": share,
            "to_reach": ">= 0.90",
            "reached": is_quiet and share >= 0.90,
            "machine_was_busy": not is_quiet,
            "rate_per_s": rates,
        }
    ]


def batching(built: dict[str, networks.Model], runs: int, seconds: float) -> list[Row]:
    """Measures the throughput of 16 clients with and without batching, and what a batch saves in the model alone."""
    return [_batching(built[name], runs, seconds) for name in ("digits", "wide")]


def _batching(model: networks.Model, runs: int, seconds: float) -> Row:
    flags = ("--enable_batching", f"--batching_parameters_file={model.base_path.parent / 'batching.txt'}")
    load = Load("content", CLIENTS, seconds)
    with ExitStack() as stack:
        off, on = stack.enter_context(running(OURS, model)), stack.enter_context(running(OURS, model, flags))
        kserve = stack.enter_context(running(KSERVE, model))
        taken = [(offer(off, load), offer(on, load), offer(kserve, load)) for _ in range(runs)]
    alone, together = (
        statistics.median(in_process(model, min(seconds, 1.0), 1, rows=rows)["cpu_ms"] for _ in range(runs)) / rows
        for rows in (1, ROWS)
    )
    gain = statistics.median(on.rate_per_s / off.rate_per_s for off, on, _ in taken)
    names = ("off", "on", KSERVE)
    return {
        "load": f"gRPC, {model.name}, content, {CLIENTS} clients",
        "what": f"throughput with batching, times that without (the model alone gains {alone / together:.1f})",
        "value": gain,
        "to_reach": ">= 3",
        "reached": gain >= 3,
        "rate_per_s": {name: statistics.median(one[i].rate_per_s for one in taken) for i, name in enumerate(names)},
        "cpu_ms": {name: statistics.median(one[i].cpu_ms for one in taken) for i, name in enumerate(names)}
        | {"a row alone": alone, f"a row of {ROWS}": together},
    }


def footprint(built: dict[str, networks.Model], runs: int, seconds: float) -> list[Row]:
    """Measures peak memory under load and seconds to the first answer, beside a process that only loads and calls."""
    model = built["digits"]
    taken = []
    for _ in range(runs):
        with running(OURS, model) as ours:
            offer(ours, Load("content", 4, min(seconds, 1.0)))
            used = ours.server.usage().peak_rss_bytes
        taken.append((used, ours.first_answer_s, in_process(model, min(seconds, 1.0), 4, "documented")))
    rows = []
    for what, limit, index, key in (
        ("peak memory", 1.15, 0, "peak_rss_bytes"),
        ("start to first answer", 1.3, 1, "first_answer_s"),
    ):
        ratio = statistics.median(one[index] / one[2][key] for one in taken)
        rows.append(
            {
                "load": "digits",
                "what": f"{what}, times a process that imports TensorFlow, loads and calls",
                "value": ratio,
                "to_reach": f"<= {limit}",
                "reached": ratio <= limit,
                key: {
                    OURS: statistics.median(one[index] for one in taken),
                    IN_PROCESS: statistics.median(one[2][key] for one in taken),
                },
            }
        )
    return rows


def median(values: list[Any], of: Callable[[Any], float]) -> float:
    """Returns the median of one property."""
    return statistics.median(of(value) for value in values)


def sentence(row: Row) -> str:
    """Formats one line of the table, with all that was measured."""
    measured = "; ".join(
        f"{name}: " + ", ".join(f"{kind} {value:,.3g}" for kind, value in row[name].items())
        for name in ("cpu_ms", "rate_per_s", "p50_ms", "peak_rss_bytes", "first_answer_s")
        if name in row
    )
    verdict = "reached" if row["reached"] else "NOT REACHED"
    if row.get("machine_was_busy"):
        verdict = "NOT VALID, something else kept the machine busy"
    return f"{row['load']}: {row['what']} {row['value']:.3g} (to reach {row['to_reach']}): {verdict}  [{measured}]"


def machine() -> str:
    """Describes the machine that was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}"


if __name__ == "__main__":
    main()

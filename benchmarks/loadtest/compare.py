"""What load tools report of one stall, beside the truth.

    python benchmarks/loadtest/compare.py [--tools slipway,hey] [--seconds 10] [--python PYTHON]

A ground-truth server answers after 5 ms and stalls once for 500 ms. Each tool offers 50, 200 and 1,000
requests a second; its p50, p99, largest and mean latency stand beside what a user would have seen. Tools
are looked for on the PATH; locust and MLPerf LoadGen in the environment of ``--python``. One that is not
there is a row that says so. Writes benchmarks/results/loadtest_compare.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.files import write_text
from pipelines.loadtest.schedule import uniform_arrivals
from pipelines.loadtest.statistics import percentiles
from pipelines.loadtest.truth.behaviour import true_latencies_ms
from pipelines.loadtest.truth.start import ground_truth
from pipelines.machine import this_machine

RESULTS = Path(__file__).parents[1] / "results" / "loadtest_compare.json"
HERE = Path(__file__).parent
RATES = (50, 200, 1000)
STALL = "/stall/4000/500/5"
BODY = b"x" * 3_000
PHASES = 20
WORKERS = 50
"""Connections or users of tools that need to be told a number."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds; None where the tool does not say it."""

    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    mean_ms: float | None
    answered_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement: where, how fast, how long, and a folder for files; ``python`` has locust and LoadGen."""

    url: str
    rate: int
    seconds: int
    folder: Path
    python: str

    @property
    def body(self) -> Path:
        file = self.folder / "body"
        file.write_bytes(BODY)
        return file

    def run(self, *words: str) -> str:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=self.seconds + 60, check=False, cwd=self.folder
        )
        if not done.stdout.strip():
            raise RuntimeError(f"{words[0]} said nothing (exit code {done.returncode}): {done.stderr.strip()[-300:]}")
        return done.stdout


def slipway(job: Job) -> Figures:
    words = ["loadtest", "--url", job.url, "--body", str(job.body), "--rate", str(job.rate), "--arrivals", "uniform"]
    out = job.run(sys.executable, "-m", "pipelines", *words, "--duration", str(job.seconds), "--warmup", "0", "--json")
    found = json.loads(out)
    if not found["valid"]:
        raise RuntimeError(f"not valid: {found['invalid_because']}")
    tail = found["quantiles_ms"][99] if found["p99_ms"] is None else found["p99_ms"]
    return Figures(found["p50_ms"], tail, found["max_ms"], found["mean_ms"], found["rate_per_s"])


def hey(job: Job) -> Figures:
    """Its rate is per worker, in whole numbers or so: as many workers as divide it."""
    workers = min(WORKERS, job.rate)
    words = ["-z", f"{job.seconds}s", "-c", str(workers), "-q", str(job.rate / workers), "-m", "POST"]
    out = job.run("hey", *words, "-D", str(job.body), job.url)
    percent = {name: float(value) * 1e3 for name, value in re.findall(r"(\d+)% in ([\d.]+) secs", out)}
    facts = {name: float(value) for name, value in re.findall(r"(Slowest|Average|Requests/sec):\s+([\d.]+)", out)}
    return Figures(
        percent.get("50"), percent.get("99"), facts["Slowest"] * 1e3, facts["Average"] * 1e3, facts["Requests/sec"]
    )


def wrk(job: Job) -> Figures:
    """It has no rate: ten connections, each as fast as the server answers."""
    script = job.folder / "post.lua"
    script.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {len(BODY)})\n')
    out = job.run("wrk", "-t1", "-c10", f"-d{job.seconds}s", "--latency", "-s", str(script), job.url)
    percent = {name: _ms(value) for name, value in re.findall(r"(\d+)%\s+([\d.]+[mu]?s)", out)}
    mean, _, largest = re.findall(r"Latency\s+(\S+)\s+(\S+)\s+(\S+)", out)[0]
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", out)[0])
    return Figures(percent.get("50"), percent.get("99"), _ms(largest), _ms(mean), rate)


def autocannon(job: Job) -> Figures:
    words = ["-R", str(job.rate), "-d", str(job.seconds), "-c", "10", "-m", "POST", "-b", BODY.decode(), "--json"]
    found = json.loads(job.run("autocannon", *words, "--no-progress", job.url))
    latency = found["latency"]
    return Figures(latency["p50"], latency["p99"], latency["max"], latency["mean"], found["requests"]["average"])


def locust(job: Job) -> Figures:
    users = min(WORKERS, job.rate)
    (job.folder / "locustfile.py").write_text(
        "from locust import FastHttpUser, task, constant_throughput\n\n\n"
        "class User(FastHttpUser):\n"
        f"    wait_time = constant_throughput({job.rate / users})\n\n"
        "    @task\n"
        f"    def ask(self):\n        self.client.post('{STALL}', b'x' * {len(BODY)})\n"
    )
    host = job.url.removesuffix(STALL)
    words = ["-f", "locustfile.py", "--headless", "-u", str(users), "-r", str(users), "-t", f"{job.seconds}s"]
    job.run(job.python, "-m", "locust", *words, "--host", host, "--csv", "found", "--json")
    with (job.folder / "found_stats.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    names = ("50%", "99%", "Max Response Time", "Average Response Time", "Requests/s")
    return Figures(*(float(row[name]) for name in names))


def loadgen(job: Job) -> Figures:
    words = [str(HERE / "loadgen_client.py"), job.url, str(job.rate), str(job.seconds), str(job.folder)]
    job.run(job.python, *words)
    text = (job.folder / "mlperf_log_summary.txt").read_text()
    found = {name: float(value) / 1e6 for name, value in re.findall(r"(.+?) latency \(ns\)\s*:\s*(\d+)", text)}
    rate = float(re.findall(r"Completed samples per second\s*:\s*([\d.]+)", text)[0])
    return Figures(found["50.00 percentile"], found["99.00 percentile"], found["Max"], found["Mean"], rate)


TOOLS: dict[str, Callable[[Job], Figures]] = {
    "slipway": slipway,
    "loadgen": loadgen,
    "hey": hey,
    "wrk": wrk,
    "autocannon": autocannon,
    "locust": locust,
}


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def truth(rate: int, seconds: int) -> dict[str, list[float]]:
    """The least and the largest of each figure, by where the stall falls between two requests."""
    seen: dict[str, list[float]] = {"p50_ms": [], "p99_ms": [], "max_ms": [], "mean_ms": []}
    for phase in range(PHASES):
        after_ms = 4_000 + 1_000 / rate * phase / PHASES
        found = percentiles(true_latencies_ms(uniform_arrivals(rate, seconds), f"/stall/{after_ms}/500/5"))
        figures = (found.quantiles[50], found.quantiles[99], found.largest or 0.0, found.mean or 0.0)
        for name, value in zip(seen, figures, strict=True):
            seen[name].append(value)
    return {name: [min(values), max(values)] for name, values in seen.items()}


def measured(tool: str, rate: int, seconds: int, python: str) -> dict[str, object]:
    """One row; a tool that is not there, or fails, says why."""
    row: dict[str, object] = {"tool": tool, "rate": rate}
    if tool in ("hey", "wrk", "autocannon") and shutil.which(tool) is None:
        return {**row, "reason": "not on the PATH"}
    with ground_truth("http") as server, tempfile.TemporaryDirectory() as folder:
        try:
            job = Job(server.url + STALL, rate, seconds, Path(folder), python)
            return {**row, **asdict(TOOLS[tool](job))}
        except (RuntimeError, OSError, ValueError, KeyError, IndexError, subprocess.TimeoutExpired) as error:
            return {**row, "reason": " ".join(str(error).split())[:300]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--python", default=sys.executable, help="An interpreter with locust and mlcommons-loadgen.")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    rows: list[dict[str, object]] = [{"tool": "truth", "rate": rate, **truth(rate, chosen.seconds)} for rate in RATES]
    for tool in chosen.tools.split(","):
        for rate in RATES:
            rows.append(measured(tool, rate, chosen.seconds, chosen.python))
            print(rows[-1], flush=True)
    facts = {
        "measured": datetime.now(UTC).date().isoformat(),
        "seconds": chosen.seconds,
        "machine": asdict(this_machine()),
        "rows": rows,
    }
    write_text(chosen.out, json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()

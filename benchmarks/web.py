"""Measures how soon the page of ``slipway web`` is there, what it adds to a call, and what its live figures cost.

It writes results/web.json, and needs a Chromium:

    python benchmarks/web.py [--asks 50] [--rounds 5] [--seconds 2] [--workspace FOLDER]

Fresh browsers open the page, one in each round: when it paints first, and when it can be used. The page of ONNX
Runtime's server is asked for one row of the test data; of each protocol, the median of what the back end adds is kept.
Then the server is load-tested at one rate, in rounds: with somebody who looks at the live figures ten times a second,
and without, in turn. What looking costs would show in the load generator's send lag.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipelines.artifacts.artifact import find
from pipelines.artifacts.workspace import Workspace
from pipelines.base.files import scratch
from pipelines.fairness.hardware import this_machine
from pipelines.loadtest.curve import Subject, at_rate
from pipelines.loadtest.measure import measure
from pipelines.loadtest.settings import LoadSettings
from pipelines.paths.browser.chromium import Chromium
from pipelines.stages.answers import ANSWERS, Answers
from serving.clients import Target, client

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "web.json"
MODEL, PATH, VARIANT, PROTOCOL = "mnist_cnn", "onnxruntime", "pytorch", "open-inference-rest"
RATE_PER_S = 200.0
TO_REACH_MS = 2.0
OPEN_S = 60.0


def request(host: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[Any, bytes]:
    """Send one request to the page; return the headers and the body of its answer."""
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return answer.headers, content
    finally:
        connection.close()


def added_ms(address: str, asks: int) -> tuple[dict[str, float], str]:
    """Return the median of what the page adds, by protocol, and the address of the server's protocol to load-test."""
    parts = urlsplit(address)
    headers, page = request(parts.netloc, "GET", f"/?{parts.query}")
    csrf = re.search(rb'name="csrf" content="([^"]+)"', page)
    assert csrf is not None
    sent = {
        "cookie": headers["set-cookie"].partition(";")[0],
        "origin": f"http://{parts.netloc}",
        "x_slipway_csrf": csrf[1].decode(),
        "content_type": "application/json",
    }
    found: dict[str, list[float]] = {}
    for _ in range(asks):
        _, lines = request(parts.netloc, "POST", "/ask", b'{"row": 0}', **sent)
        answers = [item for item in map(json.loads, lines.splitlines()) if item["kind"] == "answer"]
        for one in answers:
            found.setdefault(one["protocol"], []).append(one["page_ms"])
    url = next(one["url"] for one in answers if one["protocol"] == PROTOCOL)
    return {name: statistics.median(values) for name, values in found.items()}, url


def opened_ms(address: str, rounds: int) -> dict[str, list[float]]:
    """Return, for each fresh browser, when the page paints first and when it can be used, on its own clock."""
    marks = {"first_paint_ms": "first-contentful-paint", "interactive_ms": "ready"}
    found: dict[str, list[float]] = {name: [] for name in marks}
    for _ in range(rounds):
        with Chromium("--disable-gpu") as browser:
            browser.send("Page.navigate", url=address)
            end = time.monotonic() + OPEN_S
            there = " && ".join(f"performance.getEntriesByName('{mark}').length > 0" for mark in marks.values())
            while not browser.value(there):
                if time.monotonic() > end:
                    raise TimeoutError(f"the page was not there after {OPEN_S} s")
                time.sleep(0.05)
            for name, mark in marks.items():
                found[name].append(browser.value(f"performance.getEntriesByName('{mark}')[0].startTime"))
    return found


def send_lags(workspace: Workspace, url: str, rounds: int, seconds: float) -> dict[str, list[dict[str, float | None]]]:
    """Return the send lags (microseconds) of each round, with somebody who looks and without."""
    artifact = find(workspace, MODEL, PATH, VARIANT)
    speaker, target = client(PROTOCOL), Target(url, MODEL, {"logits": "float32"})
    bodies = [speaker.encode(target, inputs) for inputs in Answers(artifact.folder / ANSWERS).inputs(1)]
    subject = Subject(speaker.call(target, bodies[0]), bodies)
    found: dict[str, list[dict[str, float | None]]] = {"looking": [], "alone": []}
    for number in range(rounds):
        for name in ("looking", "alone") if number % 2 else ("alone", "looking"):
            settings = at_rate(LoadSettings("offline"), RATE_PER_S, seconds, seed=number)
            look = (lambda _: None) if name == "looking" else None
            with scratch("bench") as folder:
                lag = measure(subject.call, bodies, subject.check, settings, folder, watch=look).generator
            found[name].append({"p50_us": lag.send_lag_p50_us, "p99_us": lag.send_lag_p99_us})
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--asks", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--workspace", type=Path, default=ROOT)
    chosen = parser.parse_args()
    words = ["--workspace", str(chosen.workspace), "web", MODEL, "--serve", f"{PATH}:{VARIANT}", "--json"]
    page = subprocess.Popen([sys.executable, "-m", "pipelines", *words], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert page.stdout is not None
        address = json.loads(page.stdout.readline())["address"]
        opens = opened_ms(address, chosen.rounds)
        adds, url = added_ms(address, chosen.asks)
        lags = send_lags(Workspace(chosen.workspace.absolute()), url, chosen.rounds, chosen.seconds)
    finally:
        page.send_signal(signal.SIGINT)
        page.wait(60)
    measured = {
        "command": "python benchmarks/web.py",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(this_machine()),
        "opens": opens,
        "asks": chosen.asks,
        "page_adds_ms": adds,
        "rate_per_s": RATE_PER_S,
        "send_lag": lags,
    }
    RESULTS.write_text(json.dumps(measured, indent=2) + "\n")
    for name, values in opens.items():
        print(f"{name}: {statistics.median(values):.0f}")
    for name, value in adds.items():
        print(f"{name}: the page adds {value:.2f} ms (to reach: {TO_REACH_MS:g})")
    for name, rounds in lags.items():
        values = {part: [one[part] for one in rounds if one[part] is not None] for part in ("p50_us", "p99_us")}
        medians = ", ".join(f"{part} {statistics.median(each):.0f}" for part, each in values.items() if each)
        print(f"send lag, {name}: {medians}")


if __name__ == "__main__":
    main()

"""Adds new versions to a model's folder under load, and checks every answer.

    python benchmarks/tf_serving/switches.py [--switches 50] [--rate 200] [--json]

Version v of the model adds v, so that an answer shows which version gave it. Requests are due at a steady rate, and
their latency counts from then. Exit code 1 if a request failed, if an answer came from no version, or if a request
that was sent after the old version had ended was answered by it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from serving.conformance.half_plus import write_tf2
from serving.launch import LOOPBACK, LaunchRequest, free_ports, serve
from serving.tf_serving.recipe import recipe

CLIENTS = 8
LIMIT_S = 60.0
PATH = "/v1/models/switched"
BODY = b'{"instances":[0.0]}'  # half of it plus the version


@dataclass
class Answers:
    """For each request: when it was due, sent and answered (seconds), and the version that answered."""

    rows: list[tuple[float, float, float, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def main() -> int:
    """Switches, prints what happened, returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--switches", type=int, default=50)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = switch(Path(folder), options.switches, options.rate)
    print(json.dumps(found) if options.json else "\n".join(f"{key}: {value}" for key, value in found.items()))
    return int(bool(found["failed"] or found["wrong_version"]))


def switch(root: Path, switches: int, rate: float) -> dict[str, object]:
    """Runs the server, the load and the switches, in ``root``."""
    (root / "switched").mkdir()
    (root / "server").mkdir()
    # Written before the load begins: saving a model takes as much of the machine as serving hundreds of requests.
    for version in range(1, switches + 2):
        write_tf2(root / "made" / str(version), plus=float(version))
    shutil.move(root / "made/1", root / "switched/1")
    port, grpc_port = free_ports(2)
    request = LaunchRequest("switched", root / "switched", root / "server", port, grpc_port)
    answers, stop, switched = Answers(), threading.Event(), []
    with serve(recipe(request), root / "server") as server:
        threads = [
            threading.Thread(target=_ask, args=(port, answers, stop, time.perf_counter() + i / rate, CLIENTS / rate))
            for i in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        try:
            for version in range(2, switches + 2):
                time.sleep(0.3)  # some load on each version
                dropped = time.perf_counter()
                shutil.move(root / "made" / str(version), root / "switched" / str(version))
                _until_only(port, version)
                switched.append((dropped, time.perf_counter(), version))
                shutil.rmtree(root / "switched" / str(version - 1))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        ended = server.process.poll()
    return _summary(answers, switched, ended)


def _ask(port: int, answers: Answers, stop: threading.Event, due: float, pause: float) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=LIMIT_S)
    while not stop.is_set():
        time.sleep(max(0.0, due - time.perf_counter()))
        sent = time.perf_counter()
        try:
            connection.request("POST", f"{PATH}:predict", BODY)
            response = connection.getresponse()
            text = response.read()
            if response.status != http.HTTPStatus.OK:
                answers.failures.append(f"{response.status} {text[:200]!r}")
            else:
                version = json.loads(text)["predictions"][0]
                answers.rows.append((due, sent, time.perf_counter(), version))
        except (OSError, http.client.HTTPException, ValueError) as error:
            answers.failures.append(f"{type(error).__name__}: {error}")
            connection.close()
        due += pause
    connection.close()


def _until_only(port: int, version: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=LIMIT_S)
        connection.request("GET", PATH)
        states = json.loads(connection.getresponse().read())["model_version_status"]
        connection.close()
        alive = [(one["version"], one["state"]) for one in states if one["state"] != "END"]
        if alive == [(str(version), "AVAILABLE")]:
            return
        time.sleep(0.02)
    raise TimeoutError(f"version {version} was not alone within {LIMIT_S} s")


def _summary(answers: Answers, switched: list[tuple[float, float, int]], ended: int | None) -> dict[str, object]:
    wrong = 0
    for _, sent, answered, version in answers.rows:
        newest = max((number for _, done, number in switched if sent > done), default=1)
        begun = max((number for dropped, _, number in switched if dropped < answered), default=1)
        wrong += not (newest <= version <= begun and version == int(version))
    during = [
        (answered - due) * 1e3
        for due, _, answered, _ in answers.rows
        if any(dropped <= due <= done for dropped, done, _ in switched)
    ]
    calm = [(answered - due) * 1e3 for due, _, answered, _ in answers.rows]
    return {
        "switches": len(switched),
        "answers": len(answers.rows),
        "versions_seen": len({row[3] for row in answers.rows}),
        "failed": len(answers.failures) + (ended is not None),
        "failures": answers.failures[:3],
        "wrong_version": wrong,
        "p50_ms": round(statistics.median(calm), 2),
        "p99_during_switches_ms": round(statistics.quantiles(during, n=100)[98], 1) if len(during) > 1 else None,
        "max_ms": round(max(calm), 1),
        "seconds_a_switch": round(statistics.median(done - dropped for dropped, done, _ in switched), 2),
    }


if __name__ == "__main__":
    sys.exit(main())

"""Sends bad requests by the hundred thousand: the server must stay up, answer each, and keep its memory.

    python benchmarks/tf_serving/fuzz.py [--requests 100000] [--seed 7] [--json]

REST bodies that are nearly right, nearly JSON or noise, and those that schemathesis makes of the API's description;
PredictRequests with flipped bits; HTTP that is cut, never ends, is too large or too deep. Exit code 1 if the server
died, if an answer did not come within 30 s or was not a proper one (a known status, an error that is JSON, never
"internal"), or if memory grew by more than 5 %.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psutil
from fuzz_openapi import fuzz as fuzz_openapi
from fuzz_requests import GrpcFuzzer, RawFuzzer, RestFuzzer, slow_loris

from serving.conformance.write import MODELS_FILE, write_models
from serving.launch import LOOPBACK, LaunchRequest, Recipe, Server, free_ports, serve
from serving.tf_serving.recipe import recipe

THREADS = 4
MOST_GROWTH = 0.05
WARM_UP = 0.2
"""Share of the requests after which memory is first read: by then every buffer has been in use."""
SHARES = ((RestFuzzer, 0.6), (GrpcFuzzer, 0.38), (RawFuzzer, 0.02))
LIMIT_BYTES = 8_000_000
OPENAPI_SHARE = 1000
"""For this many requests, one more is made for each of the 31 kinds and operations of the API's description."""


def main() -> int:
    """Fuzzes, prints what happened, returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--most-growth", type=float, default=MOST_GROWTH, help="of memory, as a share")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(Path(folder), options.requests, options.seed, options.most_growth)
    print(json.dumps(found) if options.json else "\n".join(f"{key}: {value}" for key, value in found.items()))
    return int(bool(found["crashed"] or found["improper"] or found["unexpected_in_log"] or found["grew_too_much"]))


def fuzz(root: Path, requests: int, seed: int, most_growth: float) -> dict[str, object]:
    """Fuzzes one server from several threads; ``root`` is an empty folder."""
    write_models(root / "models")
    (root / "server").mkdir()
    rest, grpc = free_ports(2)
    found = recipe(LaunchRequest("half_plus_two", root / "models", root / "server", rest, grpc))
    flags = (
        f"--model_config_file={root}/models/{MODELS_FILE}",
        f"--rest_api_max_request_bytes={LIMIT_BYTES}",
        "--allow_version_labels_for_unavailable_models",
    )
    seen: Counter[str] = Counter()
    improper: list[str] = []
    with serve(Recipe(found.server, (*found.argv, *flags), {}, found.ready), root / "server") as server:
        with ExitStack() as stack:
            for connection in slow_loris(rest, 20):
                stack.callback(connection.close)
            _run(round(requests * WARM_UP), rest, grpc, seed, seen, improper)
            before = _resident(server)
            start = time.monotonic()
            _run(requests - round(requests * WARM_UP), rest, grpc, seed + 1, seen, improper)
            answers, problems = fuzz_openapi(f"http://{LOOPBACK}:{rest}", max(1, requests // OPENAPI_SHARE), seed)
            seconds = time.monotonic() - start
        seen += Counter({f"OpenAPI {answer}": count for answer, count in answers.items()})
        improper += problems
        after = _resident(server)
        crashed = server.process.poll() is not None
        if not crashed:
            still_right = RestFuzzer(random.Random(0), rest, grpc).is_still_right()  # noqa: S311 - nothing to guess
            improper += [] if still_right else ["a good request is not answered as before"]
        log = server.log.read_text("utf-8", "replace")
    growth = after / before - 1 if before else 1.0
    return {
        "requests": sum(seen.values()),
        "outcomes": dict(seen.most_common()),
        "crashed": crashed,
        "improper": len(improper),
        "examples": improper[:5],
        "unexpected_in_log": log.count("Unexpected error") + log.count("Traceback"),
        "log": [line for line in log.splitlines() if "Error" in line][:5],
        "resident_bytes": [before, after],
        "growth": round(growth, 4),
        "grew_too_much": growth > most_growth,
        "seconds": round(seconds, 1),
    }


def _run(requests: int, rest: int, grpc: int, seed: int, seen: Counter[str], improper: list[str]) -> None:
    lock = threading.Lock()

    def work(index: int) -> None:
        chance = random.Random(seed * 1000 + index)  # noqa: S311 - to be repeated, not to be secret
        fuzzers = [kind(chance, rest, grpc) for kind, _ in SHARES]
        weights = [share for _, share in SHARES]
        for _ in range(requests // THREADS):
            fuzzer = chance.choices(fuzzers, weights)[0]
            outcome, problem = fuzzer.once()
            with lock:
                seen[outcome] += 1
                if problem:
                    improper.append(problem)
        for fuzzer in fuzzers:
            fuzzer.close()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _resident(server: Server) -> int:
    try:
        found = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        return sum(process.memory_info().rss for process in found)
    except psutil.NoSuchProcess:
        return 0


if __name__ == "__main__":
    sys.exit(main())

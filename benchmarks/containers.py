"""Measures the containers for README.md and docs/: writes results/containers.json.

With images that are built already (built now, if not): the time of `docker compose up` until all are healthy, with
empty volumes and with filled ones, the time of a rebuild after a change of the code, and the size of the
images. Needs a Docker engine; the composition runs under a project name and on ports of its own.

    TF_SERVING_IMAGE=slipway/tf-serving python benchmarks/containers.py [--runs 3]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from serving.launch import free_port

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "containers.json"
PROJECT = f"slipway-bench-{os.getpid()}"
PORTS = [
    f"{server}_{kind}_PORT" for server in ("TF_SERVING", "TORCHSERVE", "OPEN_INFERENCE") for kind in ("REST", "GRPC")
]
CHANGED = ROOT / "serving" / "torchserve" / "handler.py"
LARGEST = 4
WEIGH = (
    "import os, sysconfig, sys, json\n"
    "top = sysconfig.get_paths()['purelib']\n"
    "def size(path):\n"
    "    walk = os.walk(path)\n"
    "    return sum(os.lstat(os.path.join(d, f)).st_size for d, _, fs in walk for f in fs) or os.lstat(path).st_size\n"
    "print(json.dumps({name: size(os.path.join(top, name)) for name in os.listdir(top)}))\n"
)


def run(*words: str, env: dict[str, str] | None = None) -> str:
    """Runs a command and returns its standard output. Raises SystemExit with its error output if it fails."""
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr[-4000:]}")
    return done.stdout


def timed(*words: str, env: dict[str, str]) -> float:
    started = time.monotonic()
    run(*words, env=env)
    return time.monotonic() - started


def spread(values: list[float]) -> dict[str, float]:
    """Returns the median of the values, their extremes and their number."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


@contextmanager
def changed(file: Path) -> Iterator[None]:
    """Adds a line to the end of a file for as long as the block runs."""
    before = file.read_bytes()
    try:
        file.write_bytes(before + f"\n# {time.time_ns()}\n".encode())
        yield
    finally:
        file.write_bytes(before)


def weight(image: str) -> dict[str, Any]:
    """Returns the size of an image, and of the largest packages in it, in bytes."""
    size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", image))
    packages = json.loads(run("docker", "run", "--rm", "--network=none", "--entrypoint", "python", image, "-c", WEIGH))
    largest = sorted(packages.items(), key=lambda item: -item[1])[:LARGEST]
    return {"image": image, "bytes": size, "largest": dict(largest)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    env = {**os.environ, **{name: str(free_port()) for name in PORTS}}
    compose = ("docker", "compose", "--project-name", PROJECT)
    up = (*compose, "up", "--detach", "--wait")
    fresh, again, rebuild = [], [], []
    try:
        run(*compose, "build", env=env)
        for _ in range(runs):
            run(*compose, "down", "--volumes", env=env)
            fresh.append(timed(*up, env=env))
            run(*compose, "down", env=env)  # the volumes stay
            again.append(timed(*up, env=env))
            with changed(CHANGED):
                rebuild.append(timed(*compose, "build", "torchserve", env=env))
    finally:
        run(*compose, "down", "--volumes", env=env)
        run(*compose, "build", "torchserve", env=env)
    services = json.loads(run(*compose, "--profile", "*", "config", "--format", "json", env=env))["services"]
    built = sorted({service["image"] for service in services.values() if "build" in service})
    results = {
        "command": "python benchmarks/containers.py",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": runs,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "engine": run("docker", "version", "--format", "{{.Server.Version}}").strip(),
        "images_used": sorted({service["image"] for service in services.values()}),
        "up_empty_volumes_s": spread(fresh),
        "up_filled_volumes_s": spread(again),
        "rebuild_after_code_change_s": spread(rebuild),
        "base_bytes": int(run("docker", "image", "inspect", "--format", "{{.Size}}", "python:3.11-slim-bookworm")),
        "images": [
            weight(image)
            for image in built
            if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0
        ],
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(RESULTS)


if __name__ == "__main__":
    main()

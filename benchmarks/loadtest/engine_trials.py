"""``engine_trials.py ENGINE SSH_CONFIG SECONDS``: two workers under one engine, and what that costs, as JSON.

Each worker can do one thing: answer ``go`` with its monotonic clock. For ssh, HOSTS are the names in the configuration
file. It says ``idle`` when all is up, and idles for SECONDS. Needs only the engine and psutil.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

MARK = "SLIPWAY_ENGINE_TRIAL"
"""In the environment of every process of a trial."""
APART = "SLIPWAY_ENGINE_APART"
"""The id of one that carries the mark and does not count: the SSH server, which a host has anyway."""
HOSTS = ("one", "two")
GOES = 30
LOOPBACK = "127.0.0.1"
Go = Callable[[], list[int]]


@contextmanager
def openssh(config: str) -> Iterator[Go]:
    """A process of ssh's client for each host, and lines over its pipes."""
    work = "import sys, time\nfor _ in sys.stdin: print(time.monotonic_ns(), flush=True)"
    ssh = ["ssh", "-F", config, "-T", "-o", "BatchMode=yes"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    workers = [subprocess.Popen([*ssh, host, f"{sys.executable} -c '{work}'"], **pipes) for host in HOSTS]

    def go() -> list[int]:
        for one in workers:
            one.stdin.write(b"go\n")
            one.stdin.flush()
        return [int(one.stdout.readline()) for one in workers]

    yield go
    for one in workers:
        one.stdin.close()
        one.wait()


@contextmanager
def execnet(config: str) -> Iterator[Go]:
    import execnet as engine

    group = engine.Group()
    gateways = [group.makegateway(f"ssh={host}//ssh_config={config}//python={sys.executable}") for host in HOSTS]
    work = "import time\nfor _ in channel: channel.send(time.monotonic_ns())"
    channels = [gateway.remote_exec(work) for gateway in gateways]

    def go() -> list[int]:
        for one in channels:
            one.send(0)
        return [one.receive() for one in channels]

    yield go
    group.terminate(2)


@contextmanager
def ray(_: str) -> Iterator[Go]:
    import ray as engine

    # One node for both workers: two, as two hosts would want, cost more.
    memory = 100 * 2**20
    engine.init(
        num_cpus=2, include_dashboard=False, object_store_memory=memory, log_to_driver=False, logging_level="ERROR"
    )

    @engine.remote(num_cpus=1)
    class Worker:
        def go(self) -> int:
            return time.monotonic_ns()

    workers = [Worker.remote() for _node in HOSTS]
    yield lambda: engine.get([one.go.remote() for one in workers])
    engine.shutdown()


@contextmanager
def dask(_: str) -> Iterator[Go]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield lambda: list(client.run(time.monotonic_ns).values())


LOCUST_WORKER = """
import sys, time, gevent
from locust import User
from locust.env import Environment
class Nobody(User): pass
runner = Environment(user_classes=[Nobody]).create_worker_runner(sys.argv[1], int(sys.argv[2]))
runner.register_message("go", lambda environment, msg: runner.send_message("went", time.monotonic_ns()))
runner.greenlet.join()
"""


@contextmanager
def locust(_: str) -> Iterator[Go]:
    import gevent
    from gevent.queue import Queue
    from locust import User
    from locust.env import Environment

    class Nobody(User):
        abstract = False

    runner = Environment(user_classes=[Nobody]).create_master_runner(LOOPBACK, 5557)
    went: Queue = Queue()
    runner.register_message("went", lambda msg, **_: went.put(msg.data))
    worker = [sys.executable, "-c", LOCUST_WORKER, LOOPBACK, "5557"]
    workers = [subprocess.Popen(worker, stderr=subprocess.DEVNULL) for _host in HOSTS]
    deadline = time.monotonic() + 60
    while len(runner.clients.ready) < len(HOSTS) and time.monotonic() < deadline:
        gevent.sleep(0.02)

    def go() -> list[int]:
        runner.send_message("go", None)
        return [went.get(timeout=20) for _host in HOSTS]

    yield go
    runner.quit()
    for one in workers:
        one.kill()
        one.wait()


ENGINES = {"openssh": openssh, "execnet": execnet, "locust": locust, "dask": dask, "ray": ray}


def processes() -> list[Any]:
    """Those that this trial started, and itself; found by a mark in their environment."""
    import psutil

    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if str(one.pid) == os.environ.get(APART):
                continue
            if one.environ().get(MARK) == os.environ[MARK] and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def cpu_s(running: list[Any]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in running)


def trial(engine: str, config: str, seconds: float) -> dict[str, Any]:
    started = time.monotonic()
    with ENGINES[engine](config) as go:
        go()
        ready_s = time.monotonic() - started
        running = processes()
        bytes_used = sum(one.memory_full_info().pss for one in running)
        print("idle", flush=True)  # the caller may measure something beside it now
        before, since = cpu_s(running), time.monotonic()
        time.sleep(seconds)
        idle_cpu = (cpu_s(running) - before) / (time.monotonic() - since)
        spread = []
        for _ in range(GOES):
            moments = go()
            spread.append((max(moments) - min(moments)) / 1e3)
        found = {
            "start_s": ready_s,
            "memory_bytes": bytes_used,
            "idle_cpu_share": idle_cpu,
            "processes": len(running),
            "go_spread_p50_us": sorted(spread)[GOES // 2],
            "go_spread_max_us": max(spread),
        }
    return found


if __name__ == "__main__":
    print(json.dumps(trial(sys.argv[1], sys.argv[2], float(sys.argv[3]))), flush=True)
    os._exit(0)  # threads of an engine need not be waited for

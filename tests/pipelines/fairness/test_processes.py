"""Servers watched from outside, and other processes told from ours."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from pipelines.fairness.machine import Reading, beat, foreign_share, load_average, read
from pipelines.fairness.processes import LEAST_S, Seen, Watch, cpu_seconds, tree

BURN = """
import ctypes, hashlib, sys, threading
def spin():
    if len(sys.argv) > 2:
        ctypes.CDLL(None).prctl(15, sys.argv[2].encode())  # PR_SET_NAME
    while True:
        hashlib.sha256(bytes(100_000)).digest()
for _ in range(int(sys.argv[1])):
    threading.Thread(target=spin, daemon=True).start()
print("on", flush=True)
threading.Event().wait()
"""


@contextmanager
def burner(threads: int, *name: str) -> Iterator[int]:
    """Start a process with this many busy threads."""
    process = subprocess.Popen([sys.executable, "-c", BURN, str(threads), *name], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def watched(pid: int, seconds: float) -> Seen:
    watch = Watch(tree(pid))
    watch.look()
    start = time.monotonic_ns()
    while time.monotonic_ns() - start < seconds * 1e9:
        time.sleep(0.02)
        watch.look()
    return watch.seen(start, start + int((seconds - 0.1) * 1e9))


def test_threads_and_cores_of_a_process_that_spins() -> None:
    with burner(2) as pid:
        process = psutil.Process(pid)
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        seen = watched(pid, 0.8)
        used = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
    assert seen.threads == 3
    assert seen.busy_threads == 2
    assert seen.cores == pytest.approx(used, abs=0.25)
    assert seen.cpus == tuple(sorted(psutil.Process().cpu_affinity()))


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no names to be read")
def test_a_java_runtimes_own_threads_are_told_by_their_names() -> None:
    with burner(1, "C2 CompilerThread0") as pid:
        seen = watched(pid, 0.8)
    assert seen.cores
    assert seen.service_cores == pytest.approx(seen.cores, rel=0.05)
    assert seen.busy_threads == 0


def test_what_idles_uses_nothing() -> None:
    with burner(0) as pid:
        seen = watched(pid, 0.8)
    assert seen.cores == pytest.approx(0, abs=0.05)
    assert seen.busy_threads == 0


def test_too_short_or_not_covered_is_not_seen() -> None:
    watch = Watch([psutil.Process()])
    assert watch.seen(0, 10**9).cores is None
    watch.look()
    watch.look()
    now = time.monotonic_ns()
    assert watch.seen(now - 10**9, now).cores is None
    assert Watch([]).seen(0, 10**9) == Seen()


def test_a_process_that_has_ended_is_passed_over() -> None:
    with burner(1) as pid:
        watch = Watch(tree(pid))
    watch.look()
    assert watch.seen(0, 1) == Seen()
    assert tree(pid) == []


def test_what_a_process_used_stays_used_when_it_ends() -> None:
    with burner(1) as one:
        with burner(1) as other:
            processes = [*tree(one), *tree(other)]
            watch = Watch(processes)
            watch.look()
            start, before = time.monotonic_ns(), sum(cpu_seconds(processes).values())
            used = 0.0
            # Two processors use it in half the time, which would be too short a window.
            while used < 0.4 or time.monotonic_ns() < start + 2 * LEAST_S * 10**9:
                watch.look()
                time.sleep(0.02)
                used = sum(cpu_seconds(processes).values()) - before
        watch.look()
        watch.look()
        stop = time.monotonic_ns()
        seen = watch.seen(start + 10**7, stop)
    assert seen.cores is not None
    # Two that spun, on one processor or on two; that one has ended takes nothing away.
    assert seen.cores * (stop - start) / 1e9 > 0.7 * used


def test_foreign_work_is_told_from_our_own() -> None:
    with burner(1) as ours, burner(1) as other:
        theirs, used = tree(other), 0.0
        started = sum(cpu_seconds(theirs).values())
        before = read(ours)
        while used < 0.3:
            time.sleep(0.02)
            used = sum(cpu_seconds(theirs).values()) - started
        after = read(ours)
    cpus = psutil.cpu_count()
    share = foreign_share(before, after)
    own = (after.own_s - before.own_s) / (after.all_s - before.all_s)
    busy = (after.busy_s - before.busy_s) / (after.all_s - before.all_s)
    assert share is not None
    assert own <= 1.1 / cpus
    assert share == pytest.approx(busy - own, abs=1e-9)
    assert share * (after.all_s - before.all_s) > 0.7 * used


def test_what_has_ended_stays_ours() -> None:
    before = read()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < .3: pass"], check=True)
    assert read().own_s - before.own_s == pytest.approx(0.3, abs=0.15)


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        (Reading(10, 5, 2), Reading(20, 9, 4), 0.2),
        (Reading(10, 5, 2), Reading(20, 5, 4), 0.0),
        (Reading(10, 5, 2), Reading(10, 5, 2), None),
    ],
)
def test_the_share_is_of_all_processors_and_never_below_zero(
    before: Reading, after: Reading, share: float | None
) -> None:
    assert foreign_share(before, after) == share


def test_a_beat_takes_its_time_and_gives_milliseconds() -> None:
    begin = time.perf_counter()
    assert 0.01 < beat(0.05) < 50
    assert time.perf_counter() - begin >= 0.05
    assert load_average() is not None

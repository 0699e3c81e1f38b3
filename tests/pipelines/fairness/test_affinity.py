"""Processors of servers and generator: apart where there are enough, and inherited by what is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.fairness.affinity import confined, divide, usable

NOWHERE = Path("/nonexistent")


@pytest.mark.parametrize("cpus", [(), (0,), (0, 1), (4, 9)])
def test_too_few_processors_are_shared(cpus: tuple[int, ...]) -> None:
    division = divide(cpus, NOWHERE)
    assert (division.server, division.generator) == (cpus, cpus)
    assert not division.apart


def test_from_three_on_the_generator_has_the_last_one() -> None:
    division = divide((0, 1, 5), NOWHERE)
    assert (division.server, division.generator) == ((0, 1), (5,))
    assert division.apart


@pytest.mark.parametrize(
    ("siblings", "server"), [("1,3", (0, 2)), ("2-3", (0, 1)), ("0-3", (0, 1, 2)), ("nonsense", (0, 1, 2))]
)
def test_servers_are_kept_off_its_hyperthread_if_two_are_left(
    tmp_path: Path, siblings: str, server: tuple[int, ...]
) -> None:
    folder = tmp_path / "devices/system/cpu/cpu3/topology"
    folder.mkdir(parents=True)
    (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    assert divide((0, 1, 2, 3), tmp_path).server == server


@pytest.mark.skipif(len(usable()) < 2, reason="needs two processors")
def test_what_is_started_in_the_block_stays_where_it_belongs() -> None:
    before = usable()
    ask = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
    with confined(before[:1]):
        inside = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    outside = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert inside.strip() == str(list(before[:1]))
    assert outside.strip() == str(list(before))
    with pytest.raises(KeyError), confined(before[1:]):
        raise KeyError
    assert tuple(sorted(os.sched_getaffinity(0))) == before

"""Jobs side by side share the memory of the machine."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from patience import until

from pipelines.base.errors import SlipwayError
from pipelines.run.room import STATED_FOR, Room, need_of
from pipelines.stages.answers import REFERENCE

GB = 1e9


@pytest.mark.parametrize(("needs", "together"), [((1, 1, 1, 1), 4), ((2, 2, 2), 2), ((3, 2), 1), ((9, 9), 1)])
def test_jobs_never_take_more_than_there_is_and_one_always_goes_on(needs: tuple[int, ...], together: int) -> None:
    room, cancel, gate, lock = Room(4 * GB), threading.Event(), threading.Event(), threading.Lock()
    inside: list[int] = []
    most = 0

    def job(need: int) -> None:
        nonlocal most
        with room.taken(need * GB, cancel):
            with lock:
                inside.append(need)
                most = max(most, len(inside))
                assert sum(inside) <= 4 or len(inside) == 1
            assert gate.wait(30)
            with lock:
                inside.remove(need)

    with ThreadPoolExecutor(len(needs)) as pool:
        running = [pool.submit(job, need) for need in needs]
        assert until(lambda: len(inside) == together)
        gate.set()
        for one in running:
            one.result()
    assert most == together
    with room.taken(4 * GB, cancel):  # all of it has been given back
        pass


def test_a_job_that_waits_ends_when_the_run_is_cancelled() -> None:
    room, cancel = Room(1.0), threading.Event()
    with ThreadPoolExecutor(1) as pool, room.taken(1.0, cancel):

        def wait() -> None:
            with room.taken(1.0, cancel):
                raise AssertionError

        waiting = pool.submit(wait)
        cancel.set()
        with pytest.raises(SlipwayError, match="cancelled"):
            waiting.result(30)


def test_the_need_grows_with_the_weights_and_not_with_the_references_answers(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with (tmp_path / REFERENCE).open("wb") as file:
        file.truncate(int(9 * STATED_FOR))
    assert need_of(2.0, tmp_path) == 2 * GB
    with (tmp_path / "weights.safetensors").open("wb") as file:
        file.truncate(int(3 * STATED_FOR))
    assert need_of(2.0, tmp_path) == 6 * GB

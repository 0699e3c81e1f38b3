from __future__ import annotations

import asyncio
import sys
import time

import pytest

from pipelines.loadtest.generator.wakeup import CallAt, TimerFd

KINDS = [CallAt, pytest.param(TimerFd, marks=pytest.mark.skipif(sys.platform != "linux", reason="needs timerfd"))]


@pytest.mark.parametrize("kind", KINDS)
def test_rings_at_the_moment_and_never_before(kind) -> None:
    async def late_us() -> list[float]:
        loop = asyncio.get_running_loop()
        rung: asyncio.Queue[int] = asyncio.Queue()
        clock = kind(loop, lambda: rung.put_nowait(time.monotonic_ns()))
        found = []
        try:
            for delay_us in (0, 100, 900, 1_500, 5_000):
                when = time.monotonic_ns() + delay_us * 1000
                clock.set(when + 50_000_000)
                clock.set(when)  # replaces the setting before
                async with asyncio.timeout(5):
                    found.append((await rung.get() - when) / 1000)
            assert rung.empty()
        finally:
            clock.close()
        return found

    late = asyncio.run(late_us())
    assert min(late) >= 0
    assert sorted(late)[2] < 50_000  # not at the time that was set before


@pytest.mark.parametrize("kind", KINDS)
def test_a_moment_that_is_past_rings_at_once(kind) -> None:
    async def rings() -> None:
        rung = asyncio.Event()
        clock = kind(asyncio.get_running_loop(), rung.set)
        clock.set(0)
        async with asyncio.timeout(5):
            await rung.wait()
        clock.close()

    asyncio.run(rings())

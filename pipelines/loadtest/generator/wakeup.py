"""Wakes the event loop at a moment of the monotonic clock, in nanoseconds.

An event loop's own timers count in milliseconds: ``call_at`` comes some 700 us late, a Linux timerfd that the
loop reads 50-100 us. (``os.timerfd_create`` exists from Python 3.13 on; here it is called through the C library.)
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

from pipelines.loadtest.plan.schedule import NS_PER_S

_TFD_TIMER_ABSTIME = 1  # <sys/timerfd.h>; TFD_NONBLOCK and TFD_CLOEXEC equal O_NONBLOCK and O_CLOEXEC


class Alarm(Protocol):
    def set(self, when_ns: int) -> None:
        """Call back once at ``when_ns`` (``time.monotonic_ns``), at once if that is past; replaces the last setting."""

    def close(self) -> None: ...


class TimerFd:
    """An alarm by timerfd(2)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._loop, self._callback = loop, callback
        self._value = (ctypes.c_long * 4)()  # struct itimerspec: interval s, ns; value s, ns
        loop.add_reader(self._fd, self._expired)

    def set(self, when_ns: int) -> None:
        self._value[2], self._value[3] = divmod(max(1, when_ns), NS_PER_S)
        if self._libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, self._value, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def _expired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return  # set again between the event and the reading
        self._callback()

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


class CallAt:
    """An alarm by the event loop's own timer, for systems without timerfd."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop, self._callback = loop, callback
        self._handle: asyncio.TimerHandle | None = None

    def set(self, when_ns: int) -> None:
        self.close()
        delay_s = max(0, when_ns - time.monotonic_ns()) / NS_PER_S
        self._handle = self._loop.call_later(delay_s, self._ring, when_ns)

    def _ring(self, when_ns: int) -> None:
        if time.monotonic_ns() < when_ns:  # the loop rounds to milliseconds
            self.set(when_ns)
        else:
            self._callback()

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def alarm(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> Alarm:
    """Return the best alarm of this system."""
    return TimerFd(loop, callback) if sys.platform.startswith("linux") else CallAt(loop, callback)

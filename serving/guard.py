"""Run a command that the kernel ends when the process PARENT dies: ``guard.py PARENT COMMAND ...``.

A server that outlives a killed test or run would keep its port and its memory. Linux can tie a
child to its parent (prctl(2), PR_SET_PDEATHSIG); the setting survives exec, so this module sets it
and then becomes COMMAND by exec. On other systems the command runs without this tie.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def tie_to_parent(parent_pid: int | None = None) -> None:
    """Make the kernel send this process SIGTERM when the thread that started it ends.

    ``parent_pid`` is the expected parent: if it died before the call, this process exits.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if parent_pid is not None and os.getppid() != parent_pid:
        sys.exit(1)


def tied(command: Sequence[str]) -> list[str]:
    """Return the command that runs another one, which the kernel ends when this process dies."""
    return [sys.executable, "-P", __file__, str(os.getpid()), *command]  # by its path: -m may not find it from a cwd


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the block ends, so that no process it starts is lost half-way.

    Only the main thread receives signals; in any other thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    previous = {
        number: signal.signal(number, lambda number, frame: held.append((number, frame)))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    for received, frame in held:
        handler = previous[signal.Signals(received)]
        if callable(handler):
            handler(received, frame)
        elif handler == signal.SIG_DFL:
            signal.raise_signal(received)


if __name__ == "__main__":
    tie_to_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted

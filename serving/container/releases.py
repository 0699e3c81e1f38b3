"""Numbered releases of a model in one folder, and the pin that says which of them is served.

``BASE/NUMBER`` is a release, and never changes. ``BASE/served.config`` pins one of them, in the form that TensorFlow
Serving reads itself. Who serves a release holds a shared lock on its folder; who changes to another one holds an
exclusive lock on ``BASE``, so that replicas change one after the other. The kernel grants such locks across
containers and on a read-only mount, and lets go of them however a process ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PIN = "served.config"
POLL_S = 0.5


class NoRelease(OSError):
    """No release is pinned, or the pinned one is not there."""


class CannotSwitch(Exception):
    """A release cannot be served; the one before it still is. It is not tried again."""


def pinned(base: Path) -> int:
    """Return the number of the release to serve. Raises NoRelease."""
    try:
        text = (base / PIN).read_text()
    except OSError as error:
        raise NoRelease(f"no release is pinned ({error.strerror}). Received: {base / PIN}") from error
    found = re.search(r"\bversions: (\d+)", text)
    if found is None:
        raise NoRelease(
            f"expected a line with the release to serve, as slipway rollout writes it. Received: {base / PIN}"
        )
    return int(found[1])


def pin(base: Path, model: str, number: int) -> None:
    """Pin a release: servers of ``base`` change to it, and start with it from now on."""
    aside = base / f".{PIN}.{os.getpid()}"
    aside.write_text(
        "model_config_list { config {\n"
        f'  name: "{model}"\n  base_path: "{base.absolute()}"\n  model_platform: "tensorflow"\n'
        f"  model_version_policy {{ specific {{ versions: {number} }} }}\n}} }}\n"
    )
    aside.replace(base / PIN)


def is_held(release: Path) -> bool:
    """Tell if a server holds the lock of a release."""
    with _open(release) as folder:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Follower:
    """The release that one server serves: at first the pinned one, then, by :meth:`follow`, each that is pinned.

    Raises NoRelease.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.number = pinned(base)
        self._lock = _hold(self.folder)
        self._refused: int | None = None
        self.changing = threading.Lock()  # whoever holds it sees a server and a number that fit

    @property
    def folder(self) -> Path:
        return self.base / str(self.number)

    def follow(self, switch: Callable[[int, Path], None]) -> None:
        """Watch the pin in a thread of its own; ``switch`` serves a release, or raises CannotSwitch."""
        threading.Thread(target=self._watch, args=(switch,), name="releases", daemon=True).start()

    def _watch(self, switch: Callable[[int, Path], None]) -> None:
        pause, complaint = threading.Event(), ""
        while not pause.wait(POLL_S):
            try:
                self._look(switch)
                complaint = ""
            except (OSError, CannotSwitch) as error:
                if complaint != str(error):  # say it once, not at every look
                    complaint = str(error)
                    self._say(f"still serving release {self.number}: {error}")

    def _look(self, switch: Callable[[int, Path], None]) -> None:
        wanted = pinned(self.base)
        if wanted == self.number:
            self._refused = None
        if wanted in (self.number, self._refused):
            return
        with _open(self.base) as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            wanted = pinned(self.base)  # it may have changed while others had their turn
            folder = self.base / str(wanted)
            if wanted == self.number:
                return
            lock = _hold(folder)
            with self.changing:
                try:
                    switch(wanted, folder)
                except BaseException as error:
                    os.close(lock)
                    if isinstance(error, CannotSwitch):
                        self._refused = wanted
                    raise
                os.close(self._lock)
                self.number, self._lock, self._refused = wanted, lock, None
        self._say(f"serving release {wanted} now")

    def _say(self, line: str) -> None:
        print(f"{self.base.parent.parent.name}: {line}", file=sys.stderr, flush=True)


def _hold(release: Path) -> int:
    """Return a descriptor that holds the shared lock of a release until it is closed. Raises NoRelease."""
    try:
        descriptor = os.open(release, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NoRelease(f"the pinned release is not there ({error.strerror}). Received: {release}") from error
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


@contextmanager
def _open(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

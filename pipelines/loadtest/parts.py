"""One of several generators: what the coordinator asks of it, and the kind that runs on this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pipelines.loadtest.conditions import cpu_ticks, governor, steal_share
from pipelines.loadtest.live import Look, View
from pipelines.loadtest.measure import run_generator
from pipelines.loadtest.plan import Plan, save_plan, settle_start
from pipelines.loadtest.settings import MAX_REQUESTS, MAX_SECONDS


@dataclass(frozen=True, slots=True)
class Told:
    """How a part ended, beside the recording in its folder.

    ``lost`` says why there is no recording, or why it does not count. ``ahead_ns`` is how far its clock is ahead of the
    coordinator's, known to within ``clock_bound_us``; 0 and None for the same clock.
    """

    lost: str | None = None
    ahead_ns: int = 0
    clock_bound_us: float | None = None
    governor: str | None = None
    steal_share: float | None = None


class Part(Protocol):
    """A generator: prepared, run, closed. The coordinator calls the first two in a thread of the part's own."""

    name: str
    host: str | None
    folder: Path

    def prepare(self, plan: Plan) -> None:
        """Everything that may take its time before the test. Raises SlipwayError where it cannot be done."""

    def run(self, start_ns: int, cancelled: threading.Event) -> Told:
        """Runs it; ``start_ns`` is on the coordinator's clock. Once ``cancelled``, it ends with what there is."""

    def look(self) -> Look | None:
        """How it stands."""

    def kill(self) -> None:
        """Ends what still runs, though ``prepare`` or ``run`` is under way in its thread; these return soon."""

    def close(self) -> None:
        """Ends and frees everything; nothing is under way."""


class LocalPart:
    """A generator process on this machine, in the network namespace ``namespace`` if it is not empty."""

    host: str | None = None

    def __init__(self, name: str, folder: Path, namespace: str = "", lead_s: float = 0.0) -> None:
        """``lead_s``: how long before its start it may be run."""
        self.name, self.folder, self._lead_s = name, folder, lead_s
        self._prefix: Sequence[str] = ("ip", "netns", "exec", namespace) if namespace else ()
        self._view: View | None = None

    def prepare(self, plan: Plan) -> None:
        self._headers, self._settings = save_plan(self.folder, plan), plan.settings
        self._view = View(self.folder, MAX_REQUESTS)

    def run(self, start_ns: int, cancelled: threading.Event) -> Told:
        def progress(_: float) -> None:
            if cancelled.is_set():
                raise KeyboardInterrupt

        settle_start(self.folder, os.getpid(), start_ns)
        longer = replace(self._settings, timeout_s=min(MAX_SECONDS, self._settings.timeout_s + self._lead_s))
        before, lost = cpu_ticks(), None
        with suppress(KeyboardInterrupt):  # the one of `progress`: the generator has left what it had
            lost = run_generator(self.folder, self._headers, longer, progress, self._prefix)
        return Told(lost, governor=governor(), steal_share=steal_share(before, cpu_ticks()))

    def look(self) -> Look | None:
        return self._view.look() if self._view is not None else None

    def kill(self) -> None:
        """Its thread does it, within a moment of the cancellation."""

    def close(self) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None

"""``python -m pipelines.loadtest.agent``: a generator's host, as the coordinator's other end.

It does what the frames on its standard input say: tells its version and clock, takes a plan, runs the generator, shows
how it stands, and hands back what it recorded. It ends, with the generator and every file, when the coordinator
says so, goes away, or is silent. The headers of the requests, which may hold a token, are never in a file.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pipelines.files import held_scratch
from pipelines.loadtest.conditions import cpu_ticks, governor, steal_share
from pipelines.loadtest.frames import MAX_DATA, SILENT_S, Channel, Frame, Inbox, Lost, send_files
from pipelines.loadtest.identity import identity
from pipelines.loadtest.live import RECENT_S, Look, View
from pipelines.loadtest.measure import run_generator
from pipelines.loadtest.plan import PLAN_FILES, settle_start
from pipelines.loadtest.recording import RESULT_FILES
from pipelines.loadtest.settings import MAX_REQUESTS, MAX_SECONDS, LoadSettings

MARK = b"slipway-agent\n"
"""Comes before the first frame."""
WAIT_S = 600.0
"""Large bodies may take long to reach the other hosts; if the coordinator dies, the pipe ends at once."""
LOOK_S = 0.5
LATENCY = np.dtype("<f4")
"""Milliseconds, as they travel."""


class Agent:
    """Does what the coordinator says, until it says that all is done."""

    def __init__(self, channel: Channel, folder: Path) -> None:
        self._channel, self._folder = channel, folder
        self._inbox = Inbox(folder, PLAN_FILES)

    def serve(self) -> None:
        """Raises Lost when the coordinator is gone or says what it should not."""
        self._channel.send("hello", **dict[str, Any](identity()))
        wait_s = WAIT_S
        while True:
            frame = self._channel.receive(wait_s)
            if frame is None:
                raise Lost(f"the coordinator was silent for {wait_s:g} s")
            if frame.kind == "clock":
                self._channel.send("clock", ns=time.monotonic_ns())
            elif frame.kind in ("file", "whole"):
                self._inbox.take(frame)
            elif frame.kind == "go":
                self._run(**frame.facts)
                wait_s = SILENT_S  # it asks for the recording at once, whatever the other hosts do
            elif frame.kind == "fetch":
                send_files(self._channel, self._folder, RESULT_FILES)
                return
            elif frame.kind not in ("beat", "stop"):  # these may come a moment after the end
                raise Lost(f"the coordinator said {frame.kind[:40]!r}")

    def _run(self, headers: str, settings: dict[str, Any], start_ns: int, lead_s: float) -> None:
        """Runs the plan that is there, and says how it ended."""
        settle_start(self._folder, os.getpid(), start_ns)
        chosen = LoadSettings(**settings)
        longer = LoadSettings(**{**settings, "timeout_s": min(MAX_SECONDS, chosen.timeout_s + lead_s)})
        view = View(self._folder, MAX_REQUESTS)
        before, failure = cpu_ticks(), None
        shown = heard = time.monotonic()

        def progress(_: float) -> None:
            nonlocal shown, heard
            now = time.monotonic()
            while (frame := self._channel.receive(0.0)) is not None:
                heard = now
                if frame.kind == "stop":
                    raise KeyboardInterrupt
            if now - heard > SILENT_S:
                raise Lost(f"the coordinator was silent for {SILENT_S:g} s")
            if now - shown >= LOOK_S:
                shown = now
                data, facts = packed(view.look())
                self._channel.send("look", data, **facts)

        try:
            failure = run_generator(self._folder, headers, longer, progress)
        except KeyboardInterrupt:
            pass  # it has left what it had
        finally:
            view.close()
        self._channel.send("ended", lost=failure, governor=governor(), steal_share=steal_share(before, cpu_ticks()))


def packed(look: Look | None) -> tuple[bytes, dict[str, Any]]:
    """A look as a frame's bytes and facts."""
    if look is None:
        return b"", {}
    latencies = (look.latencies_ns[: MAX_DATA // LATENCY.itemsize] / 1e6).astype(LATENCY)
    names = ("sent", "answered", "errors", "in_flight", "span_ns")
    return latencies.tobytes(), {name: getattr(look, name) for name in names}


def unpacked(frame: Frame) -> Look | None:
    """The look in a frame. Raises Lost for what is none."""
    if not frame.facts:
        return None
    try:
        look = Look(**frame.facts, latencies_ns=np.frombuffer(frame.data, LATENCY).astype(np.float64) * 1e6)
        counts = (look.sent, look.answered, look.errors, look.in_flight)
        fits = all(type(one) is int and 0 <= one <= MAX_REQUESTS for one in counts)
        if fits and 0 < float(look.span_ns) <= RECENT_S * 1e9 and np.isfinite(look.latencies_ns).all():
            return look
    except (TypeError, ValueError) as error:
        raise Lost("it sent what is no frame") from error
    raise Lost("it sent a look that cannot be")


def _leave(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)  # files are removed and the generator is ended on the way out
    os.write(1, MARK)
    with held_scratch("agent") as folder:
        try:
            Agent(Channel(0, 1), folder).serve()
        except Lost as error:
            sys.exit(f"the generator's host: {error}")


if __name__ == "__main__":
    main()

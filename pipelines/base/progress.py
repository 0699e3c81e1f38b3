"""Shows a command's progress on standard error: a live line per step on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

MARKS = {"ok": "[green]✓[/]", "cached": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[yellow]-[/]"}


def say(text: str) -> None:
    """Print one line on standard error; above the live lines of :class:`Steps`, which divert it."""
    print(f"slipway: {text}", file=sys.stderr, flush=True)


class Step:
    """One step: its last line shows ``status`` and ``note``; ``say`` shows its current work."""

    def __init__(self, text: str, say: Callable[[str], None] = lambda text: None) -> None:  # noqa: ARG005
        self.text = text
        self.say = say
        self.status = "ok"
        self.note = ""

    def end(self, status: str, note: str = "") -> None:
        """Set how the step ended: ``ok``, ``cached``, ``failed`` or ``skipped``."""
        self.status, self.note = status, note


SILENCE_S = 20.0


class Steps:
    """A context manager for steps, which may run side by side in threads.

    A terminal shows how the time of each step passes. Elsewhere, for example in the log of a container, a line says
    what still runs whenever nothing was printed for ``silence_s``.
    """

    def __init__(self, quiet: bool = False, silence_s: float = SILENCE_S) -> None:
        self.console = Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._live = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self._lines = not (quiet or self.console.is_terminal)
        self._silence_s, self._printed = silence_s, time.monotonic()
        self._ended = threading.Event()

    def __enter__(self) -> Steps:
        self._live.start()
        if self._lines:
            threading.Thread(target=self._break_silence, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._live.stop()

    def _line(self, text: str) -> None:
        """Print a line, where there is no terminal."""
        if self._lines:
            self.console.print(text)
            self._printed = time.monotonic()

    def _break_silence(self) -> None:
        while not self._ended.wait(max(0.0, self._printed + self._silence_s - time.monotonic())):
            if time.monotonic() - self._printed >= self._silence_s:
                self._printed = time.monotonic()  # even if no step runs
                for task in self._live.tasks:
                    self._line(f"    {task.description}: {task.elapsed:.0f} s so far")

    @contextmanager
    def step(self, text: str) -> Iterator[Step]:
        """Show ``text`` until the block ends, then how it ended and how long it took."""
        task = self._live.add_task(escape(text), total=None)
        self._line(f"  {escape(text)} ...")

        def say(now: str) -> None:
            self._live.update(task, description=escape(f"{text}: {now}"))
            self._line(f"    {escape(now)}")

        step, started = Step(text, say), time.monotonic()
        try:
            yield step
        except BaseException:
            step.end("failed")
            raise
        finally:
            self._live.remove_task(task)
            seconds = time.monotonic() - started
            took = "cached" if step.status == "cached" else f"{seconds:.1f} s"
            first_line = step.note.partition("\n")[0]
            note = f"  {escape(first_line)}" if first_line else ""
            self.console.print(f"{MARKS[step.status]} {escape(step.text)}  [dim]{took}[/]{note}")
            self._printed = time.monotonic()

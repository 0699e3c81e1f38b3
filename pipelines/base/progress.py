"""Shows a command's progress on standard error: a live line per step on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
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


class Steps:
    """A context manager for steps, which may run side by side in threads."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._live = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)

    def __enter__(self) -> Steps:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    @contextmanager
    def step(self, text: str) -> Iterator[Step]:
        """Show ``text`` until the block ends, then how it ended and how long it took."""
        task = self._live.add_task(escape(text), total=None)
        if not self.console.is_terminal:
            self.console.print(f"  {escape(text)} ...")

        def say(now: str) -> None:
            self._live.update(task, description=escape(f"{text}: {now}"))
            if not self.console.is_terminal:
                self.console.print(f"    {escape(now)}")

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

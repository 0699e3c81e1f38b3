"""Shows a running load test on standard error: a live line on a terminal, a line every two seconds elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipelines.loadtest.generator.live import Glance

EVERY_S = 2.0


def describe(glance: Glance | None) -> str:
    """Returns rate, p99 and errors in one line."""
    if glance is None:
        return "warming up"
    p99 = f"{glance.p99_ms:.4g} ms" if glance.p99_ms is not None else "–"
    return (
        f"{glance.rate_per_s:,.0f}/s  p99 {p99}  {glance.answered:,} answered  "
        f"{glance.errors:,} errors  {glance.in_flight:,} in flight"
    )


class Display:
    """A context manager; ``watch`` shows the state of the test, ``say`` prints a line."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
        self._live = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._task = self._live.add_task(escape(title), total=1.0)
        self._title = title
        self._printed = time.monotonic()

    def __enter__(self) -> Display:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def watch(self, share: float, glance: Glance | None) -> None:
        text = describe(glance)
        if self._console.is_terminal:
            self._live.update(self._task, completed=share, description=escape(f"{self._title}  {text}"))
        elif time.monotonic() - self._printed >= EVERY_S:
            self._printed = time.monotonic()
            self.say(f"{share:.0%}  {text}")

    def say(self, text: str) -> None:
        self._console.print(f"  {escape(text)}")

"""Asks of a way to run code what it lets its user see: print, a breakpoint, the line of an error.

A user's function doubles its input and adds 1, and then prints it, stops, or makes a mistake in a line that is marked
by a comment ``mark:NAME``. It is called twice with different values: who sees the values sees those of each call.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import pdb
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from pipelines.claims.experiments.behaviour.forms import short, without_folders

VALUES = ((1.0, 2.0), (10.0, 20.0))
"""The inputs of both calls."""
SEEN = (r"\b5(\.0*)?\b", r"\b41(\.0*)?\b")
"""What only one who sees the doubled and incremented values of a call can show: 5 of the first, 41 of the second."""
PROBES = ("print", "breakpoint", "error")
SHOWN = 300
"""Characters kept of what a user is shown, its last."""
MISTAKES = ("shape", "index")
"""A product of sizes that do not fit, and an index, known at run time only, beyond the end of a table."""

Call = Callable[[list[float]], Any]
Wrap = Callable[[Callable[..., Any]], Call]
"""A mode: takes a user's function, returns what is called with numbers, and computes all of it."""


def probe(program: ModuleType, wrap: Wrap) -> dict[str, Any]:
    """Probe one mode with a user's program: {probe: passed, "shown": what was seen, "mistakes": {mistake: outcome}}.

    A mistake's outcome is ``line`` (an error that names the user's line), ``lost`` (one that does not) or ``no error``.
    """
    printed = _printed(wrap, program.prints)
    stopped = _stopped(wrap, program.stops)
    mistakes = {name: _mistake(program, wrap, name) for name in MISTAKES}
    return {
        "print": _saw(printed),
        "breakpoint": _saw(stopped),
        "error": all(one["outcome"] == "line" for one in mistakes.values()),
        "shown": {"print": without_folders(printed)[-SHOWN:], "breakpoint": without_folders(stopped)[-SHOWN:]},
        "mistakes": mistakes,
    }


def probe_all(program: ModuleType, modes: Mapping[str, Wrap]) -> dict[str, Any]:
    """Probe every mode: {mode: its outcome}."""
    return {name: probe(program, wrap) for name, wrap in modes.items()}


def _saw(text: str) -> bool:
    return all(re.search(value, text) for value in SEEN)


def _printed(wrap: Wrap, function: Callable[..., Any]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        call = wrap(function)
        for values in VALUES:
            call(list(values))
    return shown.getvalue()


def _stopped(wrap: Wrap, function: Callable[..., Any]) -> str:
    """Stop in the function with Python's own debugger, look at ``hidden``, and continue; return what it showed."""
    shown = io.StringIO()
    with _debugger(shown):
        call = wrap(function)
        for values in VALUES:
            call(list(values))
    return shown.getvalue()


@contextlib.contextmanager
def _debugger(shown: io.StringIO) -> Iterator[None]:
    """Let ``breakpoint()`` start a debugger whose user types two commands."""
    before = sys.breakpointhook

    def stop(*_: Any, **__: Any) -> None:
        debugger = pdb.Pdb(
            stdin=io.StringIO("p [float(one) for one in hidden]\ncontinue\n"), stdout=shown, readrc=False
        )
        debugger.set_trace(sys._getframe(1))

    sys.breakpointhook = stop
    try:
        yield
    finally:
        sys.breakpointhook = before
        sys.settrace(None)


def _mistake(program: ModuleType, wrap: Wrap, name: str) -> dict[str, str]:
    try:
        wrap(getattr(program, f"mistake_{name}"))(list(VALUES[0]))
    except Exception as error:  # noqa: BLE001 - the mistake is the user's, and made on purpose
        told = "".join(traceback.format_exception(error))
        return {"outcome": "line" if names_line(told, program, name) else "lost", "why": short(error)}
    return {"outcome": "no error", "why": ""}


def line_of(program: ModuleType, name: str) -> int:
    """Return the number of the line of a program that is marked by a name. Raises ValueError if none is."""
    for number, line in enumerate(inspect.getsource(program).splitlines(), 1):
        if line.rstrip().endswith(f"# mark:{name}"):
            return number
    raise ValueError(f"no line of {program.__name__} is marked {name}")


def names_line(told: str, program: ModuleType, name: str) -> bool:
    """Say whether an error's text names the marked line of the program's file; line 7 is not line 71."""
    file = re.escape(inspect.getsourcefile(program) or "")
    return re.search(rf'{file}"?,? ?(line |:){line_of(program, name)}\b', told) is not None

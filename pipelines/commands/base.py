"""Declares commands, prints their results and sets their exit codes."""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import click

from pipelines.base.errors import SlipwayError, UserError

if TYPE_CHECKING:
    from pipelines.results import Report

EXAMPLES = "\n\n\b\nExamples:\n"
INTERRUPTED = "interrupted; everything that was started has been stopped"
PRINTED = "slipway.printed"
"""In the meta of a click context: the command has printed its JSON."""


class Commands(click.Group):
    """Imports a command when it is called, and turns its errors into one line and an exit code."""

    def __init__(self, *args: Any, table: Mapping[str, str], **kwargs: Any) -> None:
        """``table`` maps a command's name to ``module:attribute`` below ``pipelines.commands``."""
        super().__init__(*args, **kwargs)
        self._table = table
        self._as_json = False

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self._table:
            return None
        module, _, name = self._table[cmd_name].partition(":")
        found = getattr(importlib.import_module(f"pipelines.commands.{module}"), name)
        assert isinstance(found, click.Command)  # noqa: S101 - an error in the table
        return found

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> click.Context:
        self._as_json = "--json" in itertools.takewhile(lambda word: word != "--", args)
        with self._failures():
            return super().make_context(info_name, args, *more, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with self._failures():
            return super().invoke(ctx)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            with self._failures_as_json():
                yield
        except SlipwayError as error:
            fail(error, error.exit_code)
        except KeyboardInterrupt:
            fail(SlipwayError(INTERRUPTED), 130)
        except BrokenPipeError:
            raise  # the reader has closed the pipe: click ends quietly
        except OSError as error:
            fail(UserError(_described(error)), 2)

    @contextmanager
    def _failures_as_json(self) -> Iterator[None]:
        """With ``--json``, prints ``{"error": ...}`` for a failure, unless the command's own object is out."""
        try:
            yield
        except (click.exceptions.Exit, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            context = click.get_current_context(silent=True)
            if self._as_json and not (context and context.meta.get(PRINTED)):
                with suppress(OSError):  # standard output is full: the line on standard error says what failed
                    click.echo(json.dumps({"error": _described(error)}))
            raise


def _described(error: BaseException) -> str:
    """Return a failure in one line."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError):
        # A full disk, a removed folder: for the user to fix, not a bug of ours.
        return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    return str(error) if isinstance(error, SlipwayError) else f"{type(error).__name__}: {error}"


def fail(error: Exception, code: int) -> None:
    click.echo(f"slipway: {error}", err=True)
    sys.exit(code)


def command(name: str, *examples: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Declare a command with ``--json``, the workspace as its first argument, and examples under its help."""

    def wrap(function: Callable[..., Any]) -> click.Command:
        lines = "\n".join(f"  slipway {example}" for example in examples)
        decorated = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")(function)
        # Cleaned before the examples follow: click takes the least indent of all lines away, and theirs is none.
        text = inspect.cleandoc(function.__doc__ or "")
        return click.command(name, help=f"{text}{EXAMPLES}{lines}")(click.pass_obj(decorated))

    return wrap


def model_and_paths(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments MODEL (default: SLIPWAY_MODEL) and any number of PATH or PATH:VARIANT."""
    return click.argument("model", envvar="SLIPWAY_MODEL")(
        click.argument("paths", nargs=-1, metavar="[PATH[:VARIANT]]...")(function)
    )


def running_servers(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that names running servers."""
    return click.option(
        "--at",
        multiple=True,
        envvar="SLIPWAY_SERVERS",
        metavar="PATH=URL[,URL][,token=FILE]",
        help="A running server; may be repeated. Also SLIPWAY_SERVERS, separated by spaces.",
    )(function)


def finite(_ctx: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """Refuse NaN and infinity, which click's ranges let through."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"expected a finite number. Received: {value}", param=option)
    return value


def emit(value: Any, as_json: bool, text: Callable[[], None]) -> None:
    """Print JSON for programs, or call ``text`` for people."""
    if as_json:
        click.echo(json.dumps(plain(value), indent=2, allow_nan=False))
        click.get_current_context().meta[PRINTED] = True
    else:
        text()


def plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def end_with(report: Report, *, strict: bool = False) -> None:
    """Exit with 130 if the run was interrupted, with 1 if a row failed, or with ``strict`` if one is not sound."""
    if report.interrupted:
        fail(SlipwayError(INTERRUPTED), 130)
    rows = [*report.rows, *(one.row for one in report.containers)]
    exit_for([*report.artifacts, *rows])
    doubtful = [row for row in rows if row.status == "ok" and row.measurement != "sound"]
    if strict and doubtful:
        fail(SlipwayError(f"{len(doubtful)} of {len(rows)} measurements are disturbed or missing (--strict)"), 1)


def exit_for(rows: Iterable[Any]) -> None:
    """Exit with 1 if a row failed."""
    if any(row.status == "failed" for row in rows):
        sys.exit(1)

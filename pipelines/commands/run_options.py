"""The options that ``run`` and ``loadtest`` share; each is a field of :class:`pipelines.run.options.Options`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pipelines.commands.durations import Duration

LOAD_OPTIONS = (
    click.option(
        "--duration",
        "seconds_per_row",
        type=Duration(0.5, 3600),
        default=5.0,
        show_default=True,
        help="Seconds of load test per row, shared by its scenarios; 1m is a minute.",
    ),
    click.option(
        "--rate",
        "rate_per_s",
        type=click.FloatRange(min=0, min_open=True),
        help="Requests per second of the server scenario (default: the model's own).",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        default=1,
        show_default=True,
        help="Compute threads of one prediction, in process and behind servers.",
    ),
    click.option("--server", metavar="NAME", help="Another server of a path that has several, for example native."),
    click.option(
        "--scenario",
        "scenarios",
        multiple=True,
        metavar="NAME",
        help="single-stream, offline or server; may be repeated (default: all).",
    ),
    click.option("--strict", is_flag=True, help="Exit code 1 also if a measurement is disturbed or missing."),
)


def load_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(LOAD_OPTIONS):
        function = option(function)
    return function

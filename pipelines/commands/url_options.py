"""The options of ``slipway loadtest-url``, and the dataclass that holds them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipelines.commands.base import finite
from pipelines.commands.durations import Duration

_FILE = click.Path(dir_okay=False, path_type=Path)
_AT_LEAST_0 = click.FloatRange(min=0)
_ABOVE_0 = click.FloatRange(min=0, min_open=True)


@dataclass(frozen=True, slots=True)
class UrlOptions:
    """The choices of a load test of any server. Times are in seconds; ``page`` and ``hdr`` are files to write."""

    scenario: str
    rate: float | None
    duration: float | None
    bodies: tuple[Path, ...]
    expected: tuple[Path, ...]
    headers: tuple[str, ...]
    method: str | None
    success: tuple[int, int] | None
    ca: Path | None
    cert: Path | None
    key: Path | None
    insecure: bool
    unix_socket: Path | None
    token_file: Path | None
    arrivals: str
    trace: Path | None
    requests: int | None
    concurrency: int
    warmup: float | None
    timeout: float
    seed: int
    repeat: int
    min_duration: float
    min_requests: int
    find_rate: bool
    p99_target_ms: float | None
    budget: float
    curve: bool
    compare: Path | None
    save: Path | None
    page: Path | None
    hdr: Path | None
    prometheus_port: int | None
    allow_remote: bool


def _statuses(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Return the first and the last status of a range."""
    if value is None:
        return None
    found = re.fullmatch(r"([2-5]\d\d)(?:-([2-5]\d\d))?", value)
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise click.BadParameter("give a status, or a range of them, from 200 to 599: 404 or 200-399.")
    return int(found[1]), int(found[2] or found[1])


_OPTIONS = (
    click.option(
        "--scenario",
        metavar="NAME",
        default="server",
        show_default=True,
        help="single-stream, multi-stream, offline or server.",
    ),
    click.option("--rate", type=_ABOVE_0, callback=finite, help="Requests per second of the server scenario."),
    click.option(
        "--duration",
        type=Duration(0.5, 3600),
        help="Seconds of load; 5m is 300 (default: 5, or as long as --trace or --requests take).",
    ),
    click.option(
        "--body",
        "bodies",
        multiple=True,
        type=click.Path(path_type=Path),
        help="A request body, or a folder of them; may be repeated.",
    ),
    click.option(
        "--expect",
        "expected",
        multiple=True,
        type=click.Path(path_type=Path),
        help="The right answer to each body, in the same order.",
    ),
    click.option(
        "--header",
        "headers",
        multiple=True,
        metavar="'NAME: VALUE'",
        help="An HTTP header or gRPC metadata; may be repeated.",
    ),
    click.option(
        "--method",
        metavar="NAME",
        callback=lambda _context, _parameter, value: value and value.upper(),
        help="The HTTP method (default: POST with --body, GET without).",
    ),
    click.option(
        "--success",
        metavar="STATUS[-STATUS]",
        callback=_statuses,
        help="HTTP statuses that count as success (default: 200-299).",
    ),
    click.option("--ca", type=_FILE, help="Trust the authorities whose certificates are in this file (PEM)."),
    click.option("--cert", type=_FILE, help="Show this certificate to the server (PEM)."),
    click.option("--key", type=_FILE, help="The private key of --cert, if it is not in the same file."),
    click.option("--insecure", is_flag=True, help="Trust any certificate of the server."),
    click.option("--unix-socket", type=_FILE, help="Connect to this socket; the address says the host and path only."),
    click.option("--token-file", type=_FILE, help="A file with the server's bearer token."),
    click.option(
        "--arrivals",
        type=click.Choice(["poisson", "uniform"]),
        default="poisson",
        show_default=True,
        help="Distribution of the arrivals over time.",
    ),
    click.option("--trace", type=click.Path(path_type=Path), help="Replay arrivals: a file with seconds, one a line."),
    click.option("--requests", type=click.IntRange(1), help="End after this many requests."),
    click.option(
        "--concurrency",
        type=click.IntRange(1),
        default=4,
        show_default=True,
        help="Requests in flight in offline, or sent together in multi-stream.",
    ),
    click.option(
        "--warmup",
        type=_AT_LEAST_0,
        callback=finite,
        help="Seconds of load before the measured part (default: a fifth of the duration, at most 1).",
    ),
    click.option(
        "--timeout", type=_ABOVE_0, default=10.0, show_default=True, callback=finite, help="Seconds for one request."
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the arrivals."),
    click.option(
        "--repeat",
        type=click.IntRange(1, 100),
        default=1,
        show_default=True,
        help="Number of independent runs; intervals need five.",
    ),
    click.option(
        "--min-duration",
        type=_AT_LEAST_0,
        default=0.0,
        callback=finite,
        help="Mark the result invalid if it ran for less than this many seconds.",
    ),
    click.option(
        "--min-requests",
        type=click.IntRange(0),
        default=0,
        help="Mark the result invalid if there were fewer requests.",
    ),
    click.option("--find-rate", is_flag=True, help="Find the highest rate whose p99 is at most --p99-target-ms."),
    click.option("--p99-target-ms", type=_ABOVE_0, callback=finite, help="The latency target of --find-rate."),
    click.option(
        "--budget", type=Duration(5, 3600), default=60.0, show_default=True, help="Seconds for --find-rate; 5m is 300."
    ),
    click.option("--curve", is_flag=True, help="Measure latency at several rates, which share --duration."),
    click.option("--compare", type=_FILE, help="A result of --save: report the ratio to it, with an interval."),
    click.option("--save", type=_FILE, help="Write the result as JSON, with latencies for --compare."),
    click.option("--html", "page", type=_FILE, help="Write a page with plots."),
    click.option("--hdr", type=_FILE, help="Write an HdrHistogram log."),
    click.option(
        "--prometheus-port", type=click.IntRange(1, 65535), help="Serve the running test's metrics on loopback."
    ),
    click.option("--allow-remote", is_flag=True, help="Also allow addresses beyond this machine and private networks."),
)


def url_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function

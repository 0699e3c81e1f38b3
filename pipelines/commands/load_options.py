"""The options of ``slipway loadtest --url``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipelines.commands.base import finite

_FILE = click.Path(dir_okay=False, path_type=Path)
_AT_LEAST_0 = click.FloatRange(min=0)
_ABOVE_0 = click.FloatRange(min=0, min_open=True)

ALONE = (
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
    click.option("--token-file", type=_FILE, help="A file with the server's bearer token."),
    click.option(
        "--arrivals",
        type=click.Choice(["poisson", "uniform"]),
        default="poisson",
        show_default=True,
        help="How --rate is spread over time.",
    ),
    click.option("--trace", type=click.Path(path_type=Path), help="Replay arrivals: a file with seconds, one a line."),
    click.option("--requests", type=click.IntRange(1), help="End after so many requests."),
    click.option(
        "--concurrency",
        type=click.IntRange(1),
        default=4,
        show_default=True,
        help="Requests outstanding in offline, or together in multi-stream.",
    ),
    click.option(
        "--warmup",
        type=_AT_LEAST_0,
        callback=finite,
        help="Seconds that come before and do not count; a fifth of the duration, at most 1, if not given.",
    ),
    click.option(
        "--timeout", type=_ABOVE_0, default=10.0, show_default=True, callback=finite, help="Seconds for one request."
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the arrivals."),
    click.option(
        "--repeat",
        type=click.IntRange(1, 100),
        default=1,
        show_default=True,
        help="Independent runs; intervals need five.",
    ),
    click.option(
        "--min-duration", type=_AT_LEAST_0, default=0.0, callback=finite, help="Not valid if it was shorter, seconds."
    ),
    click.option("--min-requests", type=click.IntRange(0), default=0, help="Not valid if there were fewer."),
    click.option(
        "--generators", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that share the load."
    ),
    click.option(
        "--namespace",
        "namespaces",
        multiple=True,
        metavar="NAME",
        help="A network namespace (ip netns) for each generator; may be repeated.",
    ),
    click.option(
        "--host",
        "hosts",
        multiple=True,
        metavar="[USER@]HOST",
        help="A generator there, over ssh; may be repeated. It needs the same slipway.",
    ),
    click.option(
        "--remote-python",
        default="python3",
        show_default=True,
        metavar="COMMAND",
        help="The Python of every --host that has slipway.",
    ),
    click.option("--ssh-config", type=_FILE, help="ssh's configuration for --host, instead of the user's."),
    click.option("--find-rate", is_flag=True, help="Find the highest rate whose p99 is at most --p99-target-ms."),
    click.option("--p99-target-ms", type=_ABOVE_0, callback=finite, help="The latency target of --find-rate."),
    click.option(
        "--budget", type=click.FloatRange(5, 3600), default=60.0, show_default=True, help="Seconds for --find-rate."
    ),
    click.option("--curve", is_flag=True, help="Latency at several rates, --duration shared by them."),
    click.option("--compare", type=_FILE, help="A result of --save: the ratio to it, with an interval."),
    click.option("--save", type=_FILE, help="Write the result as JSON, with latencies for --compare."),
    click.option("--html", "page", type=_FILE, help="Write a page with plots."),
    click.option("--hdr", type=_FILE, help="Write an HdrHistogram log."),
    click.option("--k6", type=_FILE, help="Write k6's summary."),
    click.option("--mlperf", type=_FILE, help="Write MLPerf LoadGen's summary."),
    click.option(
        "--prometheus-port", type=click.IntRange(1, 65535), help="Serve the running test's metrics on loopback."
    ),
    click.option("--allow-remote", is_flag=True, help="Also addresses outside this machine and private networks."),
)
"""What only --url has a use for."""


def alone_options(function: Any) -> Any:
    for option in reversed(ALONE):
        function = option(function)
    return function

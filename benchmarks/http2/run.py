"""Measures a unary gRPC call by serving/http2, ngh2, h2 and grpcio, and writes results/http2.json.

The figure is CPU microseconds a call of each end of a connection, in two ways: in memory (an end is fed with bytes
that were recorded before) and over loopback (uvloop, the server in a process of its own). Each end is measured
against serving/http2 and against ngh2 at the other end. Each round measures all of them once, in another order; a
ratio is that of one round. ngh2 is not a dependency of slipway:

    pip install ngh2==0.3.0
    python benchmarks/http2/run.py [--rounds 30] [--calls 1000] [--output FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop
from common import ANSWER, BODY, WARM_UP
from in_memory import client_in_memory, recorded, server_in_memory
from kinds import BOUNDED, CLIENTS, GRPCIO, MINIMAL, OWN, PEERS, SERVERS
from over_loopback import Remote, over_loopback

from pipelines.fairness.hardware import this_machine

RESULTS = Path(__file__).parent.parent / "results" / "http2.json"
IN_FLIGHT = (1, 16)
Key = tuple[str, str, str]
"""Way, end and kind."""


async def one_round(
    remotes: dict[str, Remote], said: dict[Any, Any], calls: int, order: random.Random
) -> dict[Key, float]:
    """Returns the mean of each kind over its peers."""
    found: defaultdict[Key, list[float]] = defaultdict(list)

    async def in_memory(end: str, kind: str, peer: str) -> None:
        asked, answered = said[peer]
        us = server_in_memory(kind, asked) if end == "server" else client_in_memory(kind, answered)
        found["in memory", end, kind].append(us)

    async def loopback(end: str, kind: str, peer: str, in_flight: int) -> None:
        server, client = (kind, peer) if end == "server" else (peer, kind)
        mine, theirs = await over_loopback(client, remotes[server], calls, in_flight)
        found[f"loopback, {in_flight} in flight", end, kind].append(theirs if end == "server" else mine)

    groups = []  # kinds that are compared are measured one after the other
    for peer in PEERS:
        groups.append([partial(in_memory, "server", kind, peer) for kind in SERVERS])
        groups.append([partial(in_memory, "client", kind, peer) for kind in CLIENTS])
        for in_flight in IN_FLIGHT:
            groups.append([partial(loopback, "server", kind, peer, in_flight) for kind in (*SERVERS, GRPCIO)])
            groups.append([partial(loopback, "client", kind, peer, in_flight) for kind in (*CLIENTS, GRPCIO)])
    for group in order.sample(groups, len(groups)):
        for step in order.sample(group, len(group)):
            gc.collect()
            await step()
    return with_both({key: statistics.fmean(values) for key, values in found.items()})


def spread(values: Sequence[float]) -> dict[str, float]:
    """Returns a median and its extremes."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def with_both(found: dict[Key, float]) -> dict[Key, float]:
    """Adds the sum of both ends of the same library. Both servers on ngh2 share one client."""
    sums = {}
    for way in {way for way, _, _ in found}:
        for kind in [kind for of, end, kind in found if (of, end) == (way, "server")]:
            client = MINIMAL if kind == BOUNDED else kind
            sums[way, "both", kind] = found[way, "server", kind] + found[way, "client", client]
    return found | sums


def summary(rounds: Sequence[dict[Key, float]]) -> list[dict[str, Any]]:
    """Returns a row for each way, end and kind: microseconds, and the ratio to serving/http2's in the same round."""
    return [
        {
            **{"way": way, "end": end, "kind": kind, "us": spread([each[way, end, kind] for each in rounds])},
            "ratio": spread([each[way, end, kind] / each[way, end, OWN] for each in rounds]),
        }
        for way, end, kind in sorted(rounds[0])
    ]


async def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    said = {peer: recorded(peer, options.calls + WARM_UP) for peer in PEERS}
    remotes = {kind: Remote(kind) for kind in (*SERVERS, GRPCIO)}
    rounds = []
    try:
        for number in range(options.rounds):
            rounds.append(await one_round(remotes, said, options.calls, random.Random(number)))  # noqa: S311
            print(f"round {number + 1} of {options.rounds}", flush=True)
    finally:
        for remote in remotes.values():
            remote.stop()
    return summary(rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=1000, help="of one measurement, after a warm-up")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.rounds < 1 or options.calls < max(IN_FLIGHT):
        parser.error(
            f"--rounds must be 1 or more and --calls {max(IN_FLIGHT)}. Received: {options.rounds}, {options.calls}"
        )
    load_before = os.getloadavg()[0]
    rows = uvloop.run(measure(options))
    results = {
        "command": "python benchmarks/http2/run.py",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(this_machine()),
        "load_before": load_before,
        "versions": {name: version(name) for name in ("ngh2", "h2", "grpcio", "hpack", "uvloop")},
        "rounds": options.rounds,
        "calls": options.calls,
        "request_bytes": len(BODY),
        "answer_bytes": len(ANSWER),
        "rows": rows,
    }
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    for row in rows:
        us, ratio = row["us"], row["ratio"]
        print(
            f"{row['way']:23} {row['end']:6} {row['kind']:12} {us['median']:6.2f} us [{us['min']:.2f}, {us['max']:.2f}]"
            f"  ratio {ratio['median']:.2f} [{ratio['min']:.2f}, {ratio['max']:.2f}]"
        )
    print(options.output)


if __name__ == "__main__":
    main()

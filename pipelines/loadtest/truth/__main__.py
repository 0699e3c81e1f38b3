"""``python -m pipelines.loadtest.truth http|grpc [PORT [HOST]]``: serves the ground truth until it is ended."""

from __future__ import annotations

import asyncio
import gc
import sys
from importlib import import_module

from pipelines.loadtest.generator.carrier import new_event_loop
from pipelines.loadtest.generator.open_files import raise_limit
from pipelines.loadtest.generator.priority import settle

KINDS = ("http", "grpc")
LOOPBACK = "127.0.0.1"


def main(words: list[str]) -> int:
    if not words or words[0] not in KINDS or not all(word.isdigit() for word in words[1:2]) or len(words) > 3:
        print(f"expected {' or '.join(KINDS)}, and optionally a port. Received: {' '.join(words)}", file=sys.stderr)
        return 2
    serve = import_module(f"pipelines.loadtest.truth.{words[0]}_server").serve
    port, host = int(words[1]) if words[1:] else 0, words[2] if words[2:] else LOOPBACK
    raise_limit()  # a generator may open this many connections
    settle(place=0)  # away from the generator, where there are two processors
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            runner.run(serve(port, host))
        except OSError as error:
            print(f"cannot serve: {error.strerror or error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Clients that ask the servers of the stack all the time, and what they saw."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from serving.clients import client
from serving.clients.transport import Refused, Unreachable, send

PAUSE_S = 0.1
"""Between two requests of a client: without one, the clients take the processors that a new server needs to start."""
KILL = "kill -9 $(cat /proc/1/task/1/children)"  # the child of the init process: the server


class Seen(Counter[str]):
    """The answers by kind: ``right``, ``of the other model``, and whatever else there was, each by its own words."""

    slowest_s = 0.0


@contextmanager
def under_load(stack: Any, *protocols: str, shift: float | None = None) -> Iterator[Seen]:
    """Two clients per protocol. The other model's outputs are larger by ``shift``."""
    seen = Seen()
    ended = threading.Event()

    def ask(protocol: str) -> None:
        answers = stack.answers(protocol)
        codec, target = client(protocol), stack.target(protocol)
        inputs = answers.inputs(1)
        body = codec.encode(target, inputs[0])
        while not ended.wait(PAUSE_S):
            started = time.monotonic()
            try:
                answer = codec.decode(target, send(codec.call(target, body), body))
            except (Unreachable, Refused) as error:
                seen[f"{protocol}: {error}"] += 1
                continue
            finally:
                seen.slowest_s = max(seen.slowest_s, time.monotonic() - started)
            seen[kind_of(answers, answer, shift) or f"{protocol}: a wrong answer"] += 1

    clients = [threading.Thread(target=ask, args=(protocol,)) for protocol in protocols for _ in range(2)]
    for each in clients:
        each.start()
    try:
        yield seen
    finally:
        ended.set()
        for each in clients:
            each.join(60)


def kind_of(answers: Any, answer: dict[str, Any], shift: float | None) -> str | None:
    """Whose answer to the first input this is: ``right``, ``of the other model``; None for neither's."""
    if answers.matches(1, 0, answer):
        return "right"
    if shift is not None and answers.matches(1, 0, {name: value - shift for name, value in answer.items()}):
        return "of the other model"
    return None

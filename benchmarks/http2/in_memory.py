"""Measures one end of a connection, fed with bytes that the other end sent before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from common import ANSWER, WARM_UP
from kinds import CLIENTS, SERVERS


class Wire(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._written.append(bytes(data))

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        self._written.extend(map(bytes, parts))

    def take(self) -> bytes:
        """Returns what was written since the last time."""
        written = b"".join(self._written)
        self._written.clear()
        return written


class Count:
    """Counts answers, and checks that each is the right one."""

    def __init__(self) -> None:
        self.answers = 0

    def __call__(self, answer: bytes) -> None:
        assert answer == ANSWER
        self.answers += 1


def recorded(kind: str, calls: int) -> tuple[list[bytes], list[bytes]]:
    """Returns the bytes that a client and a server of a kind exchange: first the settings, then call by call."""
    client, server = CLIENTS[kind](Count()), SERVERS[kind]()
    up, down = Wire(), Wire()
    client.connection_made(up)
    server.connection_made(down)
    asked, answered = [], []
    for call in range(calls + 1):
        if call:
            client.request()
        asked.append(b"")
        answered.append(b"")
        while data := up.take():
            asked[-1] += data
            server.data_received(data)
            data = down.take()
            answered[-1] += data
            client.data_received(data)
    return asked, answered


def server_in_memory(kind: str, asked: Sequence[bytes]) -> float:
    """Returns the CPU microseconds a call of a server's end that is fed with requests."""
    wire, server = Wire(), SERVERS[kind]()
    server.connection_made(wire)
    for data in asked[: WARM_UP + 1]:
        server.data_received(data)
    wire.take()
    timed = asked[WARM_UP + 1 :]
    began = time.process_time_ns()
    for data in timed:
        server.data_received(data)
    spent = time.process_time_ns() - began
    assert wire.take().count(ANSWER) == len(timed)
    server.connection_lost(None)
    return spent / len(timed) / 1e3


def client_in_memory(kind: str, answered: Sequence[bytes]) -> float:
    """Returns the CPU microseconds a call of a client's end that is fed with answers."""
    count = Count()
    client = CLIENTS[kind](count)
    client.connection_made(Wire())
    client.data_received(answered[0])
    for data in answered[1 : WARM_UP + 1]:
        client.request()
        client.data_received(data)
    timed = answered[WARM_UP + 1 :]
    began = time.process_time_ns()
    for data in timed:
        client.request()
        client.data_received(data)
    spent = time.process_time_ns() - began
    assert count.answers == WARM_UP + len(timed)
    client.connection_lost(None)
    return spent / len(timed) / 1e3

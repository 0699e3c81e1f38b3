"""Watches what else a machine does around the load tests of a server that slipway did not start."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import psutil

from pipelines.fairness import machine, noise
from pipelines.fairness.processes import tree
from pipelines.loadtest.request import UrlCall
from pipelines.results import Beat, NoiseCheck, Scenario

FIRST_BEAT_S = 0.5
"""The first calibration is longer, because other processes' CPU time is counted in ticks of 10 ms."""
PROXIES = ("docker-proxy", "rootlessport")
"""They listen for a server in a container, whose processes cannot be found through them."""


class Surroundings:
    """Makes the noise checks of a run for load tests of one server. Create it before the first, ask after the last.

    The server's own CPU time is told from that of others if it listens on this machine, outside of a container.
    """

    def __init__(self, call: UrlCall) -> None:
        self._call = call
        self._began = time.monotonic()
        before = machine.read(also=listeners(call))
        self._beats = [self._beat(FIRST_BEAT_S)]
        self._start = machine.read(also=listeners(call))
        self._foreign_before = machine.foreign_share(before, self._start)

    def _beat(self, seconds: float) -> Beat:
        return Beat(time.monotonic() - self._began, machine.beat(seconds))

    def checks(self, scenarios: Sequence[Scenario]) -> tuple[NoiseCheck, ...]:
        """Return the checks of a run, over the load tests since the beginning."""
        server = listeners(self._call)
        foreign = machine.foreign_share(self._start, machine.read(also=server))
        if not server and _is_here(self._call):
            foreign = None  # the server is among the others, and cannot be told from them
        seen = [replace(one, server=replace(one.server, foreign_cpu_share=foreign)) for one in scenarios]
        return noise.judge(seen, [*self._beats, self._beat(machine.BEAT_S)], self._foreign_before)


def listeners(call: UrlCall) -> list[psutil.Process]:
    """Return the processes that listen at a call's address, and all that they started; empty if they are not seen."""
    if not _is_here(call):
        return []
    try:
        connections = psutil.net_connections("unix" if call.socket else "tcp")
    except psutil.AccessDenied:
        return []
    if call.socket:
        pids = {one.pid for one in connections if one.laddr == call.socket}
    else:
        port = urlsplit(call.url).port
        listening = [one for one in connections if one.status == psutil.CONN_LISTEN]
        pids = {one.pid for one in listening if one.laddr[1:] == (port,)}
    found = {process.pid: process for pid in pids if pid is not None for process in tree(pid)}
    return [process for process in found.values() if not _is_proxy(process)]


def _is_proxy(process: psutil.Process) -> bool:
    try:
        return process.name() in PROXIES
    except psutil.NoSuchProcess:
        return False


def _is_here(call: UrlCall) -> bool:
    """Tell whether a call's address is this machine's."""
    host = (urlsplit(call.url).hostname or "").partition("%")[0]
    own = {one.address.partition("%")[0] for of_card in psutil.net_if_addrs().values() for one in of_card}
    return call.socket is not None or host in own or host.startswith("127.")

"""A load test of running servers, as ``slipway loadtest --at`` does it; every page sees its live figures."""

from __future__ import annotations

import asyncio
import shlex
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, cast

from pipelines import report as faces
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import SlipwayError, UserError, unknown
from pipelines.loadtest.generator.live import Glance
from pipelines.loadtest.settings import ScenarioName
from pipelines.run.addresses import Deployed
from pipelines.run.execute import measure_deployed
from pipelines.run.options import SCENARIOS, Options
from pipelines.web.fleet.servers import Fleet

EVERY_S = 0.2
MAX_SECONDS = 60.0
MAX_RATE = 100_000.0


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """Says what to test: pairs of a server and a protocol (``calls``), one by one, each for ``seconds``."""

    calls: tuple[tuple[str, str], ...]
    scenario: ScenarioName
    rate_per_s: float
    seconds: float


def read_order(asked: Any) -> LoadOrder:
    """Return the order in a request's JSON. Raises UserError."""
    match asked:
        case {
            "calls": list(calls),
            "scenario": str(scenario),
            "rate": int() | float() as rate,
            "seconds": int() | float() as seconds,
        } if not isinstance(rate, bool) and not isinstance(seconds, bool):
            pairs = [tuple(call) for call in calls if isinstance(call, list) and list(map(type, call)) == [str, str]]
            if not pairs or len(pairs) != len(calls):
                raise UserError(f"expected servers and protocols to test. Received: {len(calls)}")
            if scenario not in SCENARIOS:
                raise unknown("scenario", scenario, SCENARIOS)
            if not (0 < rate <= MAX_RATE and 1 <= seconds <= MAX_SECONDS):
                raise UserError(
                    f"expected up to {MAX_RATE:,.0f} requests a second for 1 to {MAX_SECONDS:.0f} s. "
                    f"Received: {rate:g} for {seconds:g} s"
                )
            return LoadOrder(cast(tuple[tuple[str, str], ...], tuple(pairs)), scenario, rate, seconds)
    raise UserError("expected calls, scenario, rate and seconds. Received: other JSON")


@dataclass(slots=True)
class LoadState:
    """A load test under way, or the last one. ``points`` and ``marks`` have the seconds since its start as ``at_s``."""

    state: Literal["running", "stopping", "done", "failed"]
    order: LoadOrder
    started: float
    points: list[dict[str, Any]] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    report: str | None = None
    reason: str | None = None


class LoadDesk:
    """Runs one load test at a time; ``publish`` sends what happens to the pages. Its methods are for the event loop."""

    def __init__(self, workspace: Workspace, model: str, fleet: Fleet, publish: Callable[[str, Any], None]) -> None:
        self._workspace, self._model, self._fleet, self._publish = workspace, model, fleet, publish
        self._now: LoadState | None = None
        self._begun = 0.0
        self._stop = threading.Event()
        self._task: asyncio.Task[None] | None = None

    def state(self) -> dict[str, Any] | None:
        """Return all that a page needs to show the test; None before the first one."""
        return asdict(self._now) if self._now else None

    def start(self, order: LoadOrder) -> None:
        """Begin a test. Raises UserError for servers that are not there, or if one runs."""
        if self._now is not None and self._now.state in ("running", "stopping"):
            raise UserError("a load test runs already. Stop it, or wait for its end.")
        servers = self._servers(order)
        self._stop.clear()
        self._begun = time.monotonic()
        self._now = LoadState("running", order, time.time())
        self._publish("load", self.state())
        self._task = asyncio.create_task(self._run(order, servers))

    def stop(self) -> None:
        """End the test early; what it measured until then is reported."""
        if self._now is not None and self._now.state == "running":
            self._now.state = "stopping"
            self._stop.set()
            self._publish("load", self.state())

    async def close(self) -> None:
        """End the test, and wait until its processes have ended."""
        self.stop()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def mark(self, text: str) -> None:
        """Put a mark at this moment, if a test runs."""
        if self._now is not None and self._now.state == "running":
            mark = {"at_s": time.monotonic() - self._begun, "text": text}
            self._now.marks.append(mark)
            self._publish("mark", mark)

    def _servers(self, order: LoadOrder) -> dict[str, Deployed]:
        """Return the servers of an order by name, with the addresses of its protocols only."""
        urls: dict[str, dict[str, str]] = {}
        for name, protocol in order.calls:
            spoken = self._fleet[name].deployed.urls
            if protocol not in spoken:
                raise unknown(f"protocol of {name}", protocol, spoken)
            urls.setdefault(name, {})[protocol] = spoken[protocol]
        found = {name: replace(self._fleet[name].deployed, urls=chosen) for name, chosen in urls.items()}
        if len({server.choice.name for server in found.values()}) < len(found):
            raise UserError(f"a report has one row for each artifact and protocol. Received: {', '.join(urls)}")
        return found

    async def _run(self, order: LoadOrder, chosen: dict[str, Deployed]) -> None:
        servers = list(chosen.values())
        names = {server.choice.name: name for name, server in chosen.items()}
        loop, latest = asyncio.get_running_loop(), 0.0

        def look(server: str, protocol: str, glance: Glance | None) -> None:
            nonlocal latest
            if self._stop.is_set():
                raise KeyboardInterrupt  # as if somebody had pressed Ctrl-C: what was measured is kept
            at_s = time.monotonic() - self._begun
            if glance is not None and at_s - latest >= EVERY_S:
                latest = at_s
                point = {"at_s": at_s, "server": names[server], "protocol": protocol, **asdict(glance)}
                loop.call_soon_threadsafe(self._point, point)

        def measured() -> str:
            options = Options(seconds_per_row=order.seconds, rate_per_s=order.rate_per_s, scenarios=(order.scenario,))
            command = command_of(self._model, order, servers)
            report, folder = measure_deployed(self._workspace, self._model, servers, options, look, command)
            written = faces.write_all(report, folder)["html"]
            return f"/reports/{self._model}/{folder.name}/{written.name}"

        now = self._now
        if now is None:
            raise RuntimeError("expected a test that has begun")
        try:
            now.report = await asyncio.to_thread(measured)
            now.state = "done"
        except Exception as error:  # noqa: BLE001 - the page shows why, whatever it is
            known = isinstance(error, SlipwayError | OSError)
            now.state, now.reason = "failed", str(error) if known else f"{type(error).__name__}: {error}"
        self._publish("load", self.state())

    def _point(self, point: dict[str, Any]) -> None:
        if self._now is not None:
            self._now.points.append(point)
            self._publish("point", point)


def command_of(model: str, order: LoadOrder, servers: list[Deployed]) -> str:
    """Return the command that does the same test again."""
    words = ["slipway", "loadtest", model]
    for server in servers:
        tokens = [f"token={file}" for file in server.tokens]
        words += ["--at", f"{server.choice.name}={','.join([*dict.fromkeys(server.urls.values()), *tokens])}"]
    rate = ["--rate", f"{order.rate_per_s:g}"]
    return shlex.join([*words, "--scenario", order.scenario, *rate, "--duration", f"{order.seconds:g}"])

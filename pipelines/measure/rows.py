"""Measures the rows of one server: load-tests every protocol, and observes its processes and the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from models.spec import ModelSpec
from pipelines.artifacts.artifact import Artifact
from pipelines.base.errors import SlipwayError
from pipelines.base.files import scratch
from pipelines.fairness.affinity import Division, confined
from pipelines.fairness.disturbed import marked
from pipelines.fairness.observe import Span, observed
from pipelines.fairness.processes import Watch
from pipelines.loadtest.curve import Subject, curve
from pipelines.loadtest.generator.live import Glance
from pipelines.loadtest.measure import measure
from pipelines.loadtest.recording import RECORDING, load_recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.measure.server import Asked, ask, kept, started, target_of
from pipelines.paths import Arrays, Card
from pipelines.results import Row, Scenario, Status
from pipelines.stages.answers import ANSWERS, Answers
from serving.clients import ProtocolError, Target, client
from serving.clients.transport import Unreachable
from serving.launch import LaunchError, log_tail

ANYWHERE = Division((), ())
PROBE = LoadSettings("offline", duration_s=0.4, warmup_s=0.1, concurrency=1)
"""Shows a second compute thread (``pipelines.fairness.compute``); it is long enough to measure CPU time."""
MOST_BODIES_BYTES = 32 * 2**20
"""Limits the distinct requests of one load test, of which there is always one. A picture is 3 MB in JSON."""


@dataclass(frozen=True, slots=True)
class MeasurePlan:
    """The way to measure a row. ``curve_s``: seconds at each rate of a latency-throughput curve, 0 for no curve.

    ``probes_threads``: large requests show how many threads compute.
    """

    settings: Sequence[LoadSettings]
    threads: int = 1
    place: Division = ANYWHERE
    curve_s: float = 0.0
    probes_threads: bool = True


def _nothing(_: object) -> None:
    """Ignores what is said or kept."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One artifact under measurement: ``keep`` gets its rows, also unfinished ones; ``say`` gets the progress.

    ``look`` gets a running load test's live figures ten times a second, and may raise KeyboardInterrupt to stop it.
    """

    card: Card
    artifact: Artifact
    spec: ModelSpec
    plan: MeasurePlan
    keep: Callable[[Row], None] = _nothing
    say: Callable[[str], None] = _nothing
    look: Callable[[Glance | None], None] | None = None

    def row(self, protocol: str, status: Status = "ok", reason: str | None = None) -> Row:
        """Return a row of this artifact without figures."""
        return Row.at(self.card.name, self.artifact.manifest.variant, protocol, status, reason)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One protocol of a server that is ready: the target of requests, and the expected answers."""

    bench: Bench
    protocol: str
    server: Asked
    target: Target
    answers: Answers
    workdir: Path


def measure_served(bench: Bench, logs: Path, protocols: Sequence[str], flavour: str | None = None) -> None:
    """Measure a row for every protocol, in this order, and keep each as soon as it is known.

    A server that dies costs the current row; it is started again for the rest.
    """
    left, place = list(protocols), bench.plan.place
    while left:
        try:
            with scratch("serve") as workdir, ExitStack() as stack:
                log = logs / f"serve-{bench.artifact.name.replace(':', '-')}.log"
                stack.enter_context(kept(workdir / "server.log", log))
                with confined(place.server):
                    starting = started(bench.card, bench.artifact, workdir, threads=bench.plan.threads, flavour=flavour)
                    server = stack.enter_context(starting)
                # At least one row each time, so that a server that dies as soon as it is ready is not started for ever.
                alive = True
                while left and alive:
                    bench.keep(measure_protocol(bench, left[0], server, workdir))
                    del left[0]
                    alive = server.running
        except (LaunchError, SlipwayError, OSError) as error:
            # What prevents one row prevents the path's other rows, and no other path's.
            for protocol in left:
                bench.keep(bench.row(protocol, "failed", str(error)))
            left = []


def measure_protocol(bench: Bench, protocol: str, server: Asked, workdir: Path, url: str | None = None) -> Row:
    """Measure one protocol of a server that is ready: its first answer, every scenario, then the curve.

    Requests go to ``url``, or to the recipe's address. The figures are not judged
    (:func:`pipelines.fairness.disturbed.judged`). On an interrupt, ``bench.keep`` gets what there is.
    """
    row = replace(bench.row(protocol), server=server.recipe.server)
    answers = Answers(bench.artifact.folder / ANSWERS)
    target = target_of(server, protocol, bench.spec, url)
    exchange = Exchange(bench, protocol, server, target, answers, workdir)
    try:
        first = ask(protocol, target, answers.inputs(1)[0])
    except (Unreachable, ProtocolError) as error:
        return replace(row, status="failed", reason=_dead(server) or f"the first request failed: {error}")
    row = replace(
        row, cold_start_s=server.first_answer(), answer=bench.spec.task.describe(first[bench.spec.outputs[0].name][0])
    )
    if not answers.matches(1, 0, first):
        return replace(row, status="failed", reason="the first answer differs from the in-process one")
    try:
        for chosen in bench.plan.settings:
            bench.say(f"{protocol}, {chosen.scenario}")
            result = _offer(exchange, chosen)
            peak = server.usage().peak_rss_bytes
            row = replace(row, scenarios=(*row.scenarios, result), peak_memory_bytes=peak or row.peak_memory_bytes)
            dead = _dead(server)
            if dead:
                return replace(row, status="failed", reason=dead)
        row = replace(row, threads_probe=_probe(exchange))
        if dead := _dead(server):
            return replace(row, status="failed", reason=dead)
        if bench.plan.curve_s:
            row = _with_curve(row, exchange)
    except KeyboardInterrupt:
        if row.scenarios:
            done = ", ".join(scenario.name for scenario in row.scenarios)
            bench.keep(replace(row, status="skipped", reason=f"interrupted; measured until then: {done}"))
        raise
    return row


def _probe(exchange: Exchange) -> Scenario | None:
    """Send one large request at a time: computing is a larger share of it, so that a second thread shows."""
    if not exchange.bench.plan.probes_threads or not exchange.server.processes():
        return None
    folder = exchange.workdir / "probe"
    folder.mkdir(exist_ok=True)
    return _offer(replace(exchange, workdir=folder), replace(PROBE, batch=exchange.bench.spec.offline_batch))


def _with_curve(row: Row, exchange: Exchange) -> Row:
    """Return the row with the latency-throughput curve in its ``server`` scenario."""
    speaker, target, bench = client(exchange.protocol), exchange.target, exchange.bench
    chosen = next(one for one in bench.plan.settings if one.scenario == "server")
    bodies = bodies_of(exchange.protocol, target, exchange.answers.inputs(chosen.batch))
    try:
        with confined(bench.plan.place.generator):
            points = curve(
                Subject(speaker.call(target, bodies[0]), bodies),
                chosen,
                bench.plan.curve_s,
                lambda text: bench.say(f"{exchange.protocol}, curve: {text}"),
            )
    except SlipwayError as error:
        return replace(row, status="failed", reason=f"the latency-throughput curve: {error}")
    return replace(row, scenarios=tuple(replace(s, curve=points) if s.name == "server" else s for s in row.scenarios))


def bodies_of(protocol: str, target: Target, inputs: Iterable[Arrays]) -> list[bytes]:
    """Return the requests for these inputs, the first MOST_BODIES_BYTES of them; at least one."""
    speaker, total = client(protocol), 0
    found: list[bytes] = []
    for arrays in inputs:
        body = speaker.encode(target, arrays)
        total += len(body)
        if found and total > MOST_BODIES_BYTES:
            break
        found.append(body)
    return found


def _offer(exchange: Exchange, chosen: LoadSettings) -> Scenario:
    """Measure one scenario, with the server's CPU time and threads, and the machine's other work."""
    speaker, target, answers, server = client(exchange.protocol), exchange.target, exchange.answers, exchange.server
    bodies = bodies_of(exchange.protocol, target, answers.inputs(chosen.batch))

    def check(index: int, body: bytes) -> bool:
        try:
            return answers.matches(chosen.batch, index, speaker.decode(target, body))
        except ProtocolError:
            return False  # bytes that the protocol cannot decode are a wrong answer

    folder = exchange.workdir / f"load-{exchange.protocol}-{chosen.scenario}"
    folder.mkdir()
    before, proxy_before = server.usage().cpu_s, server.proxy_cpu_s()

    def load(watch: Watch) -> tuple[Scenario, Span | None]:
        with confined(exchange.bench.plan.place.generator):
            call = speaker.call(target, bodies[0])
            looking = exchange.bench.look
            result = measure(call, bodies, check, chosen, folder, lambda _: watch.look(), watch=looking)
        return result, _measured_part(folder)

    processes = server.processes()
    result = observed(load, processes)
    used, proxy_after = server.usage().cpu_s - before, server.proxy_cpu_s()
    proxy = proxy_after - proxy_before if proxy_after is not None and proxy_before is not None else 0.0
    served = result.load.requests + result.load.warmup_requests
    figures = replace(
        result.server,
        cpu_ms_per_request=_ms_each(used, served),
        proxy_cpu_ms_per_request=_ms_each(proxy, served),
    )
    # Processes of the server that are not seen, and an engine's work for a container, would count as others'.
    if not processes or proxy_before is not None:
        figures = replace(figures, foreign_cpu_share=None)
    return marked(replace(result, server=figures))


def _measured_part(folder: Path) -> Span | None:
    """Return begin and end of the measured part (time.monotonic_ns); None if the generator left no recording."""
    if not (folder / RECORDING).exists():
        return None
    recording = load_recording(folder)
    return recording.start_ns, recording.stop_ns


def _ms_each(cpu_s: float, requests: int) -> float | None:
    """Return CPU milliseconds per request; None if nothing was measured."""
    return 1e3 * cpu_s / requests if requests and cpu_s > 0 else None


def _dead(server: Asked) -> str | None:
    if server.running:
        return None
    tail = log_tail(server.log)
    return f"{server.recipe.server} ended during the load test ({server.exit_text()}); last lines of its log:\n{tail}"

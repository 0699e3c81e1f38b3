"""Compare each protocol of the bare process with the same protocol of its container, with and without port proxy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from pipelines.report import numbers
from pipelines.report.lines import Column, Line, load_column, of_scenario
from pipelines.results import ContainerRow, Report, Row, Scenario

BARE = "bare process"


@dataclass(frozen=True, slots=True)
class ContainerLine(Line):
    """One protocol, reached in one way, which the row's protocol names, too.

    ``container`` is None for the bare process; ``bare`` is the row to compare with.
    """

    container: ContainerRow | None = None
    bare: Row | None = None


def container_lines(report: Report) -> list[ContainerLine]:
    """List, for every protocol served in a container, the bare process and then each way to the container."""
    bare = {(row.path, row.variant, row.way): row for row in report.rows}
    artifacts = {(artifact.path, artifact.variant): artifact for artifact in report.artifacts}
    found = []
    seen: set[tuple[str, str, str]] = set()
    for one in report.containers:
        key = (one.row.path, one.row.variant, one.row.way)
        process, artifact = bare.get(key), artifacts.get(key[:2])
        if process and key not in seen:
            found.append(ContainerLine(_named(process, BARE), artifact))
        seen.add(key)
        found.append(ContainerLine(_named(one.row, one.via), artifact, one, process))
    return found


def _named(row: Row, way: str) -> Row:
    return replace(row, protocol=f"{row.way}, {way}")


def _scenario(row: Row | None, name: str) -> Scenario | None:
    return next((one for one in row.scenarios if one.name == name), None) if row else None


def _times_bare(scenario: str, figure: str) -> Callable[[Line], float | None]:
    """Read the ratio of a figure to that of the bare process."""

    def value(line: Line) -> float | None:
        mine = of_scenario(scenario, figure)(line)
        other = _scenario(line.bare, scenario) if isinstance(line, ContainerLine) else None
        base = attrgetter(figure)(other) if other else None
        return mine / base if mine and base else None

    return value


def _of_container(field: str) -> Callable[[Line], float | None]:
    def value(line: Line) -> float | None:
        return getattr(line.container, field) if isinstance(line, ContainerLine) and line.container else None

    return value


CONTAINER_COLUMNS: Sequence[Column] = (
    Column("container", "Image", "MB", _of_container("image_bytes"), numbers.megabytes),
    Column("container", "Ready", "s", _of_container("start_s"), numbers.figures),
    Column("process", "Cold start", "s", lambda line: line.row.cold_start_s, numbers.figures),
    Column("process", "Memory", "MB", lambda line: line.row.peak_memory_bytes, numbers.megabytes),
    load_column("single-stream", "p50", "ms", "latency.p50_ms"),
    Column("single-stream", "Times bare", "x", _times_bare("single-stream", "latency.p50_ms"), numbers.figures),
    load_column("server", "p50", "ms", "latency.p50_ms"),
    load_column("server", "p99", "ms", "latency.p99_ms"),
    Column("server", "Server CPU", "ms/req", of_scenario("server", "server.cpu_ms_per_request"), numbers.figures),
    Column("server", "Proxy CPU", "ms/req", of_scenario("server", "server.proxy_cpu_ms_per_request"), numbers.figures),
)

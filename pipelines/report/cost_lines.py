"""Make the lines and columns of the protocol cost table, the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.report import numbers
from pipelines.report.lines import Column, Line
from pipelines.report.protocol_cost import BARE
from pipelines.results import IN_PROCESS, LayerCost, Report, Row

TITLE = "What each layer adds to a request"
NOTE = (
    "One request at a time. Each layer is compared with the model's own call in process and, if there are containers, "
    "with the layer below it: a protocol with the call, the container's address with the bare process, and the "
    "published port with the address, which shows the cost of its proxy. Added CPU is that of server and proxy. "
    "Bytes are those of bodies. A difference may be negative, because both sides are noisy."
)


@dataclass(frozen=True, slots=True)
class CostLine(Line):
    """One layer; the row's protocol names the way to a container, too."""

    cost: LayerCost | None = None


def cost_lines(report: Report) -> list[CostLine]:
    """List the layers in the report's order. A layer without figures has the status skipped, and its reason."""
    artifacts = {(artifact.path, artifact.variant): artifact for artifact in report.artifacts}
    return [
        CostLine(
            Row.at(one.path, one.variant, _name(one), "skipped" if one.why_missing else "ok", one.why_missing),
            artifacts.get((one.path, one.variant)),
            one,
        )
        for one in report.protocol_cost
    ]


def cost_notes(found: Sequence[CostLine]) -> list[tuple[str, str]]:
    """Explain missing figures: for each reason, the names of its layers and its first line."""
    names: dict[str, list[str]] = {}
    for line in found:
        if line.row.status != "ok":
            names.setdefault(numbers.sentence_and_log(line.row.reason)[0], []).append(line.name)
    return [(", ".join(lines), why) for why, lines in names.items()]


def _name(one: LayerCost) -> str:
    return one.protocol if one.protocol == IN_PROCESS or one.via == BARE else f"{one.protocol}, {one.via}"


def _of(field: str) -> Callable[[Line], float | None]:
    return lambda line: getattr(line.cost, field) if isinstance(line, CostLine) and line.cost else None


def _signed(value: float) -> str:
    """Format a difference; added cost has a plus sign."""
    return f"+{numbers.figures(value)}" if value > 0 else numbers.figures(value)


def cost_columns(found: Sequence[CostLine]) -> list[Column]:
    """List the columns; without containers, those that compare with the layer below are left out."""
    has_layers = any(line.cost and line.cost.below not in (None, IN_PROCESS) for line in found)
    return [column for column in _COLUMNS if has_layers or column.group != _BELOW]


_CALL, _BELOW = "over call", "over below"
_COLUMNS: Sequence[Column] = (
    Column("latency", "p50", "ms", _of("p50_ms"), numbers.figures),
    Column("CPU", "Server", "ms/req", _of("server_cpu_ms"), numbers.figures),
    Column("CPU", "Proxy", "ms/req", _of("proxy_cpu_ms"), numbers.figures),
    Column("CPU", "Client", "µs/req", _of("client_cpu_us"), numbers.figures),
    Column(_CALL, "Latency", "ms", _of("over_in_process_ms"), _signed),
    Column(_CALL, "CPU", "ms/req", _of("over_in_process_cpu_ms"), _signed),
    Column(_BELOW, "Latency", "ms", _of("added_ms"), _signed),
    Column(_BELOW, "CPU", "ms/req", _of("added_cpu_ms"), _signed),
    Column("body", "Request", "bytes", _of("request_bytes"), numbers.count),
    Column("body", "Answer", "bytes", _of("response_bytes"), numbers.count),
)

"""Describe how comparable the rows are: the machine, the order, the compute threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.fairness.compute import answering_cores
from pipelines.report import numbers
from pipelines.report.lines import Line
from pipelines.results import Fairness, NoiseCheck, Report

SCENARIOS = ("single-stream", "offline")
"""The closed loops, which show how many threads compute."""
COLUMNS = ("single-stream", "probe", "offline")
UNSEEN = (
    "cannot be proved: no closed loop was long enough, the processes of the server or of other programs could not be "
    "observed, or other programs left no processor free for a second thread to be seen"
)


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check of the machine, with its figures as text."""

    check: NoiseCheck
    measured: str
    limit: str


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """Compute threads of one row: cores used in single-stream, the probe and offline; None if not observed."""

    line: Line
    cores: Sequence[float | None]
    threads: int | None
    busy: int | None
    verdict: str
    why: str


def banner(report: Report) -> str | None:
    """Explain why the figures of this run are unreliable; None if the machine was quiet enough."""
    fairness = report.fairness
    if fairness is None or not fairness.noisy:
        return None
    failed = "; ".join(disturbances(fairness.checks))
    return f"The machine was too noisy to compare rows: {failed}. Run it again on a quiet machine."


def disturbances(checks: Sequence[NoiseCheck]) -> list[str]:
    """Name what was above its limit, and how far."""
    return [
        f"{one.check.name} {one.measured} (limit {one.limit})" for one in check_rows(checks) if not one.check.passed
    ]


def check_rows(checks: Sequence[NoiseCheck]) -> list[CheckRow]:
    return [CheckRow(one, _amount(one, one.measured), _amount(one, one.limit)) for one in checks]


def _amount(check: NoiseCheck, value: float | None) -> str:
    if value is None:
        return numbers.DASH
    return f"{numbers.figures(value * 100, 2)} %" if check.unit == "share" else f"{numbers.count(value)} µs"


def sentences(report: Report) -> list[str]:
    """Describe in sentences how the rows were measured."""
    fairness = report.fairness
    if fairness is None:
        return []
    rounds = len(fairness.order)
    anew = "" if _elsewhere(fairness) else ", with everything restarted"
    times = "once" if rounds == 1 else f"in {rounds} rounds, each in a different order{anew}"
    said = [f"Measured in random order, {times} (seed {fairness.seed})."] if rounds else ["Nothing was measured."]
    if fairness.again:
        said.append(f"Measured again, since the machine had disturbed them: {numbers.count(len(fairness.again))} rows.")
    said.append(_processors(fairness))
    facts = []
    if fairness.load_before is not None:
        facts.append(f"load average {fairness.load_before:.2f} before the run")
    facts.append(f"governor {fairness.governor}" if fairness.governor else "frequency governor unknown")
    said.append(f"{'; '.join(facts).capitalize()}.")
    told = f"{report.settings.threads} compute thread{'' if report.settings.threads == 1 else 's'}"
    if _elsewhere(fairness):
        return [*said, "This run neither chose nor observed the number of compute threads of the servers."]
    verdicts = [row.verdict for row in thread_rows(report, [Line(row, None) for row in report.rows])]
    if verdicts:
        counts = {name: verdicts.count(name) for name in ("kept", "breach", "not seen")}
        words = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        said.append(f"Every runtime was told to use {told}; by its CPU time under load: {words}.")
    return said


def _elsewhere(fairness: Fairness) -> bool:
    """Return True if the run measured servers that it did not start."""
    return bool(fairness.generator_cpus) and not fairness.server_cpus


def _processors(fairness: Fairness) -> str:
    if not fairness.generator_cpus:
        return "This system does not report which processors are used."
    servers, generator = cpu_list(fairness.server_cpus), cpu_list(fairness.generator_cpus)
    if _elsewhere(fairness):
        return f"The servers were running already; the load generator ran on processors {generator}."
    if fairness.cpus_apart:
        return f"Servers run on processors {servers}, the load generator on {generator}."
    return f"Servers and load generator share processors {servers}: there are too few to separate them."


def cpu_list(cpus: Sequence[int]) -> str:
    """Format processors as Linux does: 0-2,5."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and parts[-1][-1] == cpu - 1:
            parts[-1].append(cpu)
        else:
            parts.append([cpu])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def thread_rows(report: Report, found: Sequence[Line]) -> list[ThreadRow]:
    """List the compute threads of each line under load; empty for older reports and for servers not started here."""
    if report.fairness is None or _elsewhere(report.fairness):
        return []
    rows = []
    for line in found:
        loads = line.row.scenarios
        if not loads:
            continue
        by_name = {one.name: answering_cores(one) for one in loads}
        verdict, why = "kept", ""
        if line.row.breaches:
            verdict, why = "breach", "; ".join(line.row.breaches)
        elif not line.row.threads_seen:
            verdict, why = "not seen", UNSEEN
        cores = [by_name.get(name) for name in SCENARIOS]  # type: ignore[call-overload]
        cores.insert(1, answering_cores(line.row.threads_probe) if line.row.threads_probe else None)
        threads = max((one.server.threads for one in loads if one.server.threads is not None), default=None)
        busy = max((one.server.busy_threads for one in loads if one.server.busy_threads is not None), default=None)
        rows.append(ThreadRow(line, cores, threads, busy, verdict, why))
    return rows

"""Recommend the row to ship, and say why. A pure function of a run's artifacts and rows.

The rules, in order:

1. A row is fit if its status is ok, its measurement sound, its artifact passed parity, and all of its checked
   answers over the wire (at least one) equalled the in-process ones.
2. Served rows come before those in process or in a browser, which are recommended only if no served row is fit.
3. The lowest p99 under the ``server`` scenario wins. If a fit row has no such p99 (too few samples, other
   scenarios), all are compared by the next figure of :data:`MEASURES` that all of them have.
4. A row ties with the best if it is within 10 % of it, or if its median is within the best row's range over the
   rounds of a run. ``offline`` throughput breaks a tie; if that is within 10 %, too, size does. A row's own range does
   not count, or noisy rows would win. But rows whose ranges overlap may change places in the next run, and are named.
5. Rows whose measurement the machine disturbed are never compared by latency. If no served row is sound, they are
   compared by the server's CPU time per request, which disturbance hardly changes.
6. A recommendation is sure if no other row is near the winner, and a tie if one is. It is provisional if the machine
   was noisy or disturbed another served row, unless CPU time decided by more than TIE.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from pipelines.report import numbers
from pipelines.report.lines import Line, spread_of
from pipelines.results import SERVED, ArtifactRow, Certainty, Recommendation, Row

TIE = 1.10
"""Figures within this factor count as equal: it is the noise between two runs on a shared machine."""

THROUGHPUT = ("offline", "load.samples_per_s")
"""The scenario and the figure that decide where rows have no latency in common."""

RIVALS = 4
"""Number of rows to name; any further ones are only counted."""

MEASURES: tuple[tuple[str, str], ...] = (
    ("server", "p99"),
    ("server", "p90"),
    ("server", "p50"),
    ("single-stream", "p99"),
    ("single-stream", "p90"),
    ("single-stream", "p50"),
)


@dataclass(frozen=True, slots=True)
class _Merit:
    """One possible advantage of a row: how to read it, which direction is better, how to word it."""

    value: Callable[[Line], float | None]
    low_is_better: bool
    say: Callable[[float], str]
    praise: str


def recommend(artifacts: Sequence[ArtifactRow], rows: Sequence[Row], *, noisy: bool = False) -> Recommendation:
    """Choose the row to ship by the rules above; give its figures, the runner-up and its advantages."""
    served, unserved = _lines(artifacts, rows)
    fit = [line for line in served if unfit(line) is None]
    disturbed = [line for line in served if line.measurement == "disturbed" and unfit(line, sound=False) is None]
    if not fit and disturbed:
        return _by_cpu(disturbed)
    preface = ""
    if not fit:
        preface = f"No served row is fit to ship: {_counted(served)}."
        fit = [line for line in unserved if unfit(line) is None]
    if not fit:
        return Recommendation(None, f"{preface} No row without a server either: {_counted(unserved)}.")
    measure = _measure(fit)
    best = _best(fit, measure)
    others = [line for line in fit if line is not best]
    parts = [preface, _verdict(best, others, measure)]
    second = _best(others, measure) if others else None
    if second:
        parts.append(_runner_up(second, best, measure))
    parts.append(_noise(best, others, measure))
    parts.append(_cost_of_accuracy(best, second, others, measure))
    if best.artifact and best.artifact.lifecycle:
        parts.append(f"Note that {best.row.path} {best.row.variant} is {best.artifact.lifecycle}.")
    near = _by_latency([best, *others], measure) if measure else _by_throughput([best, *others])
    certainty: Certainty = "tie" if len(near) > 1 else "sure"
    if noisy or disturbed:
        certainty = "provisional"
        count = f"{len(disturbed)} disturbed rows are" if len(disturbed) > 1 else "1 disturbed row is"
        left_out = f", and {count} not compared" if disturbed else ""
        parts.insert(0, f"Provisional: the machine was disturbed{left_out}.")
    return Recommendation(best.name, " ".join(part for part in parts if part), certainty)


def contenders(artifacts: Sequence[ArtifactRow], rows: Sequence[Row]) -> tuple[list[Line], tuple[str, str]]:
    """List the winner and the rows within noise of it; name the scenario and the figure that decide.

    No row is listed if none is fit.
    """
    served, unserved = ([line for line in lines if unfit(line) is None] for lines in _lines(artifacts, rows))
    fit = served or unserved
    measure = _measure(fit)
    figure = (measure[0], f"latency.{measure[1]}_ms") if measure else THROUGHPUT
    if not fit:
        return [], figure
    best = _best(fit, measure)
    others = [line for line in fit if line is not best]
    near = _overlapping(best, others, measure) if measure else _by_throughput(fit)
    return [best, *(line for line in near if line is not best)], figure


def _lines(artifacts: Sequence[ArtifactRow], rows: Sequence[Row]) -> tuple[list[Line], list[Line]]:
    """Pair the rows with their artifacts: the served rows, and those in process."""
    by_name = {(artifact.path, artifact.variant): artifact for artifact in artifacts}
    everything = [Line(row, by_name.get((row.path, row.variant))) for row in rows]
    served = [line for line in everything if line.row.where == SERVED]
    return served, [line for line in everything if line.row.where != SERVED]


def _measure(fit: Sequence[Line]) -> tuple[str, str] | None:
    """Return the first of MEASURES that all lines have: a scenario and a percentile; None if there is none."""
    return next(((s, p) for s, p in MEASURES if all(_latency(line, s, p) is not None for line in fit)), None)


def _by_cpu(lines: Sequence[Line]) -> Recommendation:
    """Choose the row with the least CPU time per request, among rows whose latencies the machine disturbed."""
    scenario = next((name for name in ("server", "single-stream") if all(line.scenario(name) for line in lines)), None)
    costs = {line.name: cost for line in lines if scenario and (cost := _cpu_ms(line, scenario)) is not None}
    if len(costs) < len(lines):
        return Recommendation(None, "The machine was disturbed, and CPU times are unknown: measure again.")
    best, *others = sorted(costs, key=lambda name: costs[name])
    lead = "The machine was disturbed, so rows are compared by CPU time, not by latency."
    figure = f"{numbers.figures(costs[best])} ms of CPU per request"
    if not others:
        return Recommendation(best, f"{lead} The only fit row: {figure}.", "provisional")
    second = f"{others[0]} has {numbers.figures(costs[others[0]])} ms"
    if costs[best] * TIE < costs[others[0]]:
        return Recommendation(best, f"{lead} The least CPU time in {scenario}: {figure}; {second}.", "sure")
    return Recommendation(best, f"{lead} Within 10 % of the least CPU time in {scenario}: {figure}; {second}.", "tie")


def _cpu_ms(line: Line, scenario: str) -> float | None:
    found = line.scenario(scenario)
    return found.server.cpu_ms_per_request if found else None


def unfit(line: Line, *, sound: bool = True) -> str | None:
    """Explain briefly why a row is not fit; None if it is. Without ``sound``, a disturbed row may be fit."""
    scenarios = line.row.scenarios
    checked = [scenario for scenario in scenarios if scenario.answers_checked]
    rules = (
        (line.row.status == "skipped", "skipped"),
        (line.row.status == "failed" or line.artifact is None or line.artifact.status != "ok", "failed"),
        (line.certificate is None or not line.certificate.passed, "without passed parity"),
        (not scenarios, "not load-tested"),
        (bool(line.row.breaches), "with more compute threads than allowed"),
        (sound and line.measurement != "sound", f"with a {line.measurement} measurement"),
        (any(scenario.match_share != 1 for scenario in checked), "with answers that differ from the in-process ones"),
        (line.row.where == SERVED and not checked, "without checked answers"),
    )
    return next((words for broken, words in rules if broken), None)


def _counted(lines: Sequence[Line]) -> str:
    """Count the reasons why rows are not fit."""
    counts = Counter(unfit(line) for line in lines)
    return ", ".join(f"{count} {words}" for words, count in counts.items()) or "no row was measured"


def _latency(line: Line, scenario: str, percentile: str) -> float | None:
    found = line.scenario(scenario)
    return getattr(found.latency, f"{percentile}_ms") if found else None


def _scatter(scenario: str, figure: str) -> Callable[[Line], tuple[float, float] | None]:
    """Read the range of a figure over the rounds; None if it was measured once."""

    def value(line: Line) -> tuple[float, float] | None:
        found = spread_of(figure, scenario)(line)
        return (found.low, found.high) if found else None

    return value


def _throughput(line: Line) -> float | None:
    found = line.scenario("offline")
    return found.load.samples_per_s if found else None


def _size(line: Line) -> float | None:
    return line.artifact.size_bytes if line.artifact else None


def _accuracy(line: Line) -> float | None:
    return line.certificate.accuracy if line.certificate else None


def _best(candidates: Sequence[Line], measure: tuple[str, str] | None) -> Line:
    """Choose the winner: lowest latency, ties broken by throughput, then by size, then by the report's order."""
    tied = list(candidates)
    if measure:
        tied = _by_latency(tied, measure)
    tied = _by_throughput(tied)
    return min(tied, key=lambda line: (_size(line) is None, _size(line) or 0))


def _by_latency(lines: list[Line], measure: tuple[str, str], *, overlap: bool = False) -> list[Line]:
    value, scatter = (lambda line: _latency(line, *measure)), _scatter(measure[0], f"latency.{measure[1]}_ms")
    return _near(lines, value, scatter, low_is_better=True, overlap=overlap)


def _by_throughput(lines: list[Line]) -> list[Line]:
    return _near(lines, _throughput, _scatter(*THROUGHPUT), low_is_better=False)


def _near(
    lines: list[Line],
    value: Callable[[Line], float | None],
    scatter: Callable[[Line], tuple[float, float] | None],
    *,
    low_is_better: bool,
    overlap: bool = False,
) -> list[Line]:
    """List the lines within TIE or within the range of the best one; with ``overlap``, their own range counts, too.

    If no line has the figure, all are returned.
    """
    known = [(line, figure) for line in lines if (figure := value(line)) is not None]
    if not known:
        return lines
    leader, best = min(known, key=lambda one: one[1]) if low_is_better else max(known, key=lambda one: one[1])
    low, high = scatter(leader) or (best, best)
    near = []
    for line, figure in known:
        least, most = (scatter(line) if overlap else None) or (figure, figure)
        tied = figure <= best * TIE if low_is_better else figure * TIE >= best
        if tied or (least <= high if low_is_better else most >= low):
            near.append(line)
    return near


_MERITS: tuple[_Merit, ...] = (
    _Merit(_accuracy, False, lambda x: f"{numbers.percent(x)} %", "higher accuracy"),
    _Merit(_throughput, False, lambda x: f"{numbers.figures(x)} samples/s", "higher offline throughput"),
    _Merit(attrgetter("row.peak_memory_bytes"), True, lambda x: f"{numbers.megabytes(x)} MB", "less memory"),
    _Merit(attrgetter("row.cold_start_s"), True, lambda x: f"{numbers.figures(x)} s", "a faster cold start"),
    _Merit(_size, True, lambda x: f"{numbers.megabytes(x)} MB", "a smaller artifact"),
)


def _figures(line: Line, measure: tuple[str, str] | None) -> str:
    """Format a row's figures: latency, throughput, size."""
    parts = []
    if measure and (latency := _latency(line, *measure)) is not None:
        parts.append(f"{measure[1]} {numbers.figures(latency)} ms")
    if (throughput := _throughput(line)) is not None:
        parts.append(f"{numbers.figures(throughput)} samples/s offline")
    if (size := _size(line)) is not None:
        parts.append(f"{numbers.megabytes(size)} MB")
    return ", ".join(parts)


def _verdict(best: Line, others: Sequence[Line], measure: tuple[str, str] | None) -> str:
    """Explain why the winner won, with its figures."""
    return f"{_why(best, others, measure)}: {_figures(best, measure)}."


def _why(best: Line, others: Sequence[Line], measure: tuple[str, str] | None) -> str:
    found = best.scenario(measure[0]) if measure else None
    load = found.load if found else None
    rate = f" at {numbers.figures(load.offered_per_s)} requests/s" if load and load.offered_per_s else ""
    scope = f"{measure[1]} of the {measure[0]} scenario{rate}" if measure else "offline throughput"
    if not others:
        return f"The only fit row ({scope})"
    rivals = [best, *others]
    if measure:
        rivals = _by_latency(rivals, measure)
        if len(rivals) == 1:
            return f"Lowest {scope}"
    faster = _by_throughput(rivals)
    near = "Within noise" if best.row.rounds > 1 else "Within 10 %"
    lead = f"{near} of the lowest {scope}" if measure else "No latency to compare"
    if len(faster) == 1:
        return f"{lead}, with the highest throughput"
    return f"{lead}, equal throughput, the smallest artifact of {len(faster)}"


def _noise(best: Line, others: Sequence[Line], measure: tuple[str, str] | None) -> str:
    """Name the rows that may win in another run; after one round, say that this is unknown."""
    if not others:
        return ""
    if best.row.rounds == 1:
        return "Measured in one round, so the noise of these figures is unknown: use --repeat 5 to measure it."
    if not measure:
        return ""
    rivals = [line.name for line in _overlapping(best, others, measure)]
    what = f"{measure[1]} of {best.row.rounds} rounds"
    if not rivals:
        return f"No other row is within noise of it, by {what}."
    shown = rivals if len(rivals) <= RIVALS else [*rivals[: RIVALS - 1], f"{len(rivals) - RIVALS + 1} more"]
    return f"By {what}, it is within noise of {_listed(shown)}: ranges overlap, or are within 10 %."


def _overlapping(best: Line, others: Sequence[Line], measure: tuple[str, str]) -> list[Line]:
    """List the others that are within noise of ``best``, which may not have the lowest latency."""
    return [line for line in others if len(_by_latency([best, line], measure, overlap=True)) == 2]


def _runner_up(second: Line, best: Line, measure: tuple[str, str] | None) -> str:
    merits = []
    if measure and _ahead(_latency(second, *measure), _latency(best, *measure), low_is_better=True, margin=1):
        merits.append(f"a lower {measure[1]}, though within {'noise' if best.row.rounds > 1 else '10 %'}")
    for merit in _MERITS:
        mine, other = merit.value(second), merit.value(best)
        margin = 1 if merit.value is _accuracy else TIE
        if mine is not None and other is not None and _ahead(mine, other, merit.low_is_better, margin):
            merits.append(f"{merit.praise} ({merit.say(mine)} instead of {merit.say(other)})")
    speaks = f"; it offers {_listed(merits)}" if merits else ""
    return f"Runner-up: {second.name}, {_figures(second, measure)}{speaks}."


def _ahead(mine: float | None, other: float | None, low_is_better: bool, margin: float) -> bool:
    """Return True if ``mine`` is better than ``other`` by more than the factor ``margin``."""
    if mine is None or other is None:
        return False
    return mine * margin < other if low_is_better else mine > other * margin


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _loss(line: Line) -> float | None:
    """Return the accuracy lost against the reference, as a share; None if there are no labels."""
    certificate = line.certificate
    if certificate is None or certificate.accuracy is None or certificate.reference_accuracy is None:
        return None
    return certificate.reference_accuracy - certificate.accuracy


def _cost_of_accuracy(best: Line, second: Line | None, others: Sequence[Line], measure: tuple[str, str] | None) -> str:
    """Name the accuracy that the winner loses, and the best row that loses none; empty if it loses none."""
    loss, accuracy = _loss(best), _accuracy(best)
    proof = best.certificate
    if loss is None and proof is not None and proof.top1 is not None and proof.top1 < 1:
        return (
            f"Note that {best.row.variant} changes the first class of {numbers.percent(1 - proof.top1)} % of the rows."
        )
    if loss is None or accuracy is None or loss <= 0:
        return ""
    text = (
        f"Note that {best.row.variant} costs {numbers.figures(loss * 100, 2)} points of accuracy "
        f"({numbers.percent(accuracy)} % instead of the reference's {numbers.percent(accuracy + loss)} %)"
    )
    free = [line for line in others if (lost := _loss(line)) is not None and lost <= 0]
    if not free:
        return f"{text}."
    lossless = _best(free, measure)
    if lossless is second:
        return f"{text}; the runner-up costs none."
    return f"{text}; the best row that costs none is {lossless.name}, {_figures(lossless, measure)}."

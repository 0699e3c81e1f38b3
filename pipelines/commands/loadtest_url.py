"""``slipway loadtest-url``: load-tests any server by its address."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from pipelines.base.errors import UserError, unknown
from pipelines.commands.base import command, emit
from pipelines.commands.url_options import UrlOptions, url_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.fairness.surroundings import Surroundings
    from pipelines.loadtest.curve import Subject
    from pipelines.loadtest.generator.live import Glance
    from pipelines.loadtest.settings import LoadSettings
    from pipelines.loadtest.standalone.repetitions import Result
    from pipelines.loadtest.standalone.search import SearchResult
    from pipelines.loadtest.statistics.intervals import Interval
    from pipelines.results import Scenario

INTERRUPTED = 130
DEFAULT_DURATION_S = 5.0


@command(
    "loadtest-url",
    "loadtest-url http://127.0.0.1:9000/predict --body request.json --rate 200 --duration 10 --json",
    "loadtest-url grpc://127.0.0.1:9001/package.Service/Method --body request.bin --scenario offline",
    "loadtest-url http://127.0.0.1:9000/predict --body requests/ --find-rate --p99-target-ms 20",
)
@click.argument("url")
@url_options
def loadtest_url_command(_workspace: Any, url: str, as_json: bool, **chosen: Any) -> None:
    """Load-test any server: http://HOST:PORT/PATH or grpc://HOST:PORT/package.Service/Method.

    Exit code 1 if the result is invalid.
    """
    from pipelines.fairness.surroundings import Surroundings
    from pipelines.loadtest.curve import SHARES, curve
    from pipelines.loadtest.request import complete
    from pipelines.loadtest.standalone.compare import compare, load_result
    from pipelines.loadtest.standalone.display import Display
    from pipelines.loadtest.standalone.find_rate import find_rate
    from pipelines.loadtest.standalone.prometheus import exporting
    from pipelines.loadtest.standalone.repetitions import run
    from pipelines.report import load_text

    options = UrlOptions(**chosen)
    subject = _subject(url, options)
    settings = _settings(options)
    base = load_result(options.compare) if options.compare else None
    if options.find_rate != (options.p99_target_ms is not None):
        raise UserError("--find-rate and --p99-target-ms go together. Received: one of them. Give both.")
    _check_writable(options)
    subject.reach()
    surroundings = Surroundings(complete(subject.call))
    with ExitStack() as stack:
        exporter = stack.enter_context(exporting(options.prometheus_port))
        display = stack.enter_context(Display(_shown(url)))
        if options.p99_target_ms is not None:
            found, scenarios = find_rate(subject, settings, options.p99_target_ms, options.budget, display.say)
            _end_search(found, _disturbed(surroundings, scenarios), as_json)

        def watcher(share: float, glance: Glance | None) -> None:
            exporter.update(glance)
            display.watch(share, glance)

        points = curve(subject, settings, settings.duration_s / len(SHARES), display.say) if options.curve else ()
        result = run(subject, settings, options.repeat, watcher)
        notes = (*result.notes, *_disturbed(surroundings, result.runs))
        result = replace(result, whole=replace(result.whole, curve=points), notes=notes)
    ratios = compare(result, base) if base is not None else {}
    facts = _facts(url, settings, result, ratios)
    # Shown before it is written: a full disk costs the files, not what was measured.
    emit(facts, as_json, lambda: load_text.show(_shown(url), result, ratios))
    try:
        _write_files(url, options, facts, result)
    except OSError as error:
        raise UserError(f"the result could not be written: {error.strerror or error}") from error
    if result.whole.partial:
        click.echo("slipway: interrupted; the results so far are kept, marked partial", err=True)
        sys.exit(INTERRUPTED)
    if not result.whole.valid:
        sys.exit(1)


def _shown(url: str) -> str:
    """Return the address without credentials."""
    return url.rpartition("@")[2]


def _subject(url: str, options: UrlOptions) -> Subject:
    from pipelines.loadtest.curve import Subject
    from pipelines.loadtest.request import Tls
    from pipelines.loadtest.standalone.target import Wishes, body_files, content_type, parse_target, read_bodies
    from pipelines.run.addresses import read_token

    headers = list(options.headers)
    if options.token_file:
        headers.append(f"Authorization: Bearer {read_token(options.token_file)}")
    files = body_files(options.bodies)
    bodies = read_bodies(files)
    expected = read_bodies(body_files(options.expected)) if options.expected else []
    if expected and len(expected) != len(bodies):
        raise UserError(f"--expect needs an answer for each body. Received: {len(expected)} for {len(bodies)} bodies.")
    ca, cert, key = (str(one.absolute()) if one else None for one in (options.ca, options.cert, options.key))
    wishes = Wishes(
        headers,
        options.allow_remote,
        options.method,
        options.success,
        tuple(map(content_type, files)),
        Tls("", ca, cert, key, options.insecure),
        options.unix_socket,
    )
    return Subject(parse_target(url, wishes), bodies, expected)


def _settings(options: UrlOptions) -> LoadSettings:
    from pipelines.loadtest.plan.trace import read_trace
    from pipelines.loadtest.settings import MAX_SECONDS, LoadSettings, ScenarioName

    if options.scenario not in get_args(ScenarioName):
        raise unknown("scenario", options.scenario, get_args(ScenarioName))
    duration, trace = options.duration, options.trace
    if duration is None and trace:
        duration = min(MAX_SECONDS, float(read_trace(trace)[-1]) / 1e9 + 0.01)
    elif duration is None:
        duration = MAX_SECONDS if options.requests else DEFAULT_DURATION_S
    warmup = options.warmup
    if warmup is None:
        warmup = 0.0 if trace else min(1.0, 0.2 * duration)
    if options.scenario == "server" and not (options.rate or trace or options.find_rate):
        raise UserError("the server scenario has no rate. Give --rate N, or --scenario single-stream or offline.")
    return LoadSettings(
        scenario=options.scenario,  # type: ignore[arg-type]  # checked above
        duration_s=duration,
        warmup_s=warmup,
        rate_per_s=options.rate or (1.0 if options.find_rate else None),
        concurrency=options.concurrency,
        seed=options.seed,
        timeout_s=options.timeout,
        arrivals="trace" if trace else options.arrivals,  # type: ignore[arg-type]  # click checks its choices
        trace=str(trace) if trace else None,
        requests=options.requests,
        min_duration_s=options.min_duration,
        min_requests=options.min_requests,
    )


def _check_writable(options: UrlOptions) -> None:
    """Raise UserError before the test if its result could not be written."""
    files: tuple[Path | None, ...] = (options.save, options.page, options.hdr)
    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise UserError(f"no such folder. Received: {file}. Name a file in an existing folder.")


def _facts(url: str, settings: LoadSettings, result: Result, ratios: Mapping[str, Interval | str]) -> dict[str, Any]:
    """Return the result for JSON: the keys of a Scenario, and those of all runs together."""
    from pipelines.loadtest.standalone.compare import plain_ratio
    from pipelines.loadtest.standalone.repetitions import plain_interval

    return {
        "url": _shown(url),
        **asdict(result.whole),
        "settings": asdict(settings),
        "intervals": {name: plain_interval(one) for name, one in result.intervals.items()},
        "compared": {name: plain_ratio(one) for name, one in ratios.items()},
        "notes": result.notes,
        "runs": [_brief(one) for one in result.runs] if len(result.runs) > 1 else [],
        "started_s": result.started,
    }


def _brief(one: Scenario) -> dict[str, Any]:
    """One of several runs, its keys those of a Scenario."""
    load, latency, generator = one.load, one.latency, one.generator
    return {
        "valid": one.valid,
        "invalid_because": one.invalid_because,
        "load": {"requests": load.requests, "errors": load.errors, "rate_per_s": load.rate_per_s},
        "latency": {name: getattr(latency, name) for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms")},
        "generator": {"send_lag_p99_us": generator.send_lag_p99_us, "cpu_share": generator.cpu_share},
    }


def _write_files(url: str, options: UrlOptions, facts: dict[str, Any], result: Result) -> None:
    import numpy as np

    from pipelines.base.files import write_text
    from pipelines.loadtest.standalone.compare import save_result
    from pipelines.loadtest.statistics.histogram import log_text

    if options.save:
        save_result(options.save, facts, result)
    if options.hdr:
        together = np.concatenate(result.latencies_ms) if result.latencies_ms else np.empty(0)
        values_ns = np.rint(together * 1e6).astype(np.int64)
        write_text(options.hdr, log_text(values_ns, result.started, result.whole.load.duration_s))
    if options.page:
        from pipelines.report.load_page import write as write_page

        write_page(_shown(url), result, options.page)


def _disturbed(surroundings: Surroundings, scenarios: Sequence[Scenario]) -> tuple[str, ...]:
    """Return a note if the machine was too noisy for exact figures; the checks are those of a run."""
    from pipelines.report.fairness_view import disturbances

    found = disturbances(surroundings.checks(scenarios))
    return (f"the machine was noisy, so figures may be off: {'; '.join(found)}",) if found else ()


def _end_search(found: SearchResult, notes: Sequence[str], as_json: bool) -> None:
    """Print the result of a search, and exit: with 1 if no rate was confirmed."""
    from pipelines.report import load_text

    facts = {
        "rate_per_s": found.rate_per_s,
        "p99_target_ms": found.target_ms,
        "valid": found.confirmed,
        "invalid_because": None if found.confirmed else found.note,
        "complete": found.complete,
        "partial": found.interrupted,
        "bracket_per_s": found.bracket,
        "closed_loop_per_s": found.capacity_per_s,
        "seconds": found.seconds,
        "note": found.note,
        "notes": notes,
        "curve": [asdict(point) for point in found.curve()],
        "probes": [asdict(probe) for probe in found.probes],
    }
    emit(facts, as_json, lambda: load_text.show_search(found, notes))
    if found.interrupted:
        click.echo("slipway: interrupted; the probes so far are kept", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(0 if found.confirmed else 1)

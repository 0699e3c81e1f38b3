"""What ``slipway loadtest --url`` does: words become a test, a result becomes text, JSON and files."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np

from pipelines.commands.base import emit
from pipelines.errors import UserError, unknown
from pipelines.files import write_text
from pipelines.loadtest import exports
from pipelines.loadtest.alone import Result, Subject, plain_interval, run
from pipelines.loadtest.compare import compare, load_result, save_result
from pipelines.loadtest.display import Display
from pipelines.loadtest.face import INTERRUPTED, end_search, show
from pipelines.loadtest.find_rate import SHARES, curve, find_rate
from pipelines.loadtest.histogram import log_text
from pipelines.loadtest.hosts import Hosts, checked
from pipelines.loadtest.live import Glance
from pipelines.loadtest.prometheus import exporting
from pipelines.loadtest.settings import MAX_SECONDS, LoadSettings, ScenarioName
from pipelines.loadtest.target import is_loopback, parse_target, read_bodies
from pipelines.loadtest.trace import read_trace
from pipelines.results import CurvePoint, Scenario
from serving.clients import Call


def load_test(url: str, as_json: bool, given: set[str], options: dict[str, Any]) -> None:
    """Tests the server at ``url``; ``given`` are the options that the user named. Prints the result, and exits.

    Raises UserError for a mistake, SlipwayError for a server that does not answer.
    """
    if (wrong := given & {"remote_python", "ssh_config"}) and not options["hosts"]:
        raise UserError(f"--{wrong.pop().replace('_', '-')} is of use with --host alone. Name a host.")
    subject = _subject(url, given, options)
    settings = _settings(given, options)
    base = load_result(options["compare"]) if options["compare"] else None
    if options["find_rate"] != (options["p99_target_ms"] is not None):
        raise UserError("--find-rate and --p99-target-ms go together. Received: one of them. Give both.")
    _check_writable(options)
    subject.reach()
    with ExitStack() as stack:
        exporter = stack.enter_context(exporting(options["prometheus_port"]))
        display = stack.enter_context(Display(url.rpartition("@")[2]))
        if options["find_rate"]:
            found = find_rate(subject, settings, options["p99_target_ms"], options["budget"], display.say)
            end_search(found, as_json)

        def watch(share: float, glance: Glance | None) -> None:
            exporter.update(glance)
            display.watch(share, glance)

        points: tuple[CurvePoint, ...] = ()
        if options["curve"]:
            points = curve(subject, settings, options["duration"] / len(SHARES), display.say)
        result = run(subject, settings, options["repeat"], watch)
        result = replace(result, whole=replace(result.whole, curve=points))
    ratios = compare(result, base) if base is not None else {}
    facts = _facts(url, settings, result, ratios)
    _write_files(options, facts, result, settings)
    if as_json:
        emit(facts, True, lambda: None)
    else:
        show(facts, result)
    if result.whole.partial:
        click.echo("slipway: interrupted; the results so far are kept, marked partial", err=True)
        sys.exit(INTERRUPTED)
    if not result.whole.valid:
        sys.exit(1)


def _subject(url: str, given: set[str], options: dict[str, Any]) -> Subject:
    headers = list(options["headers"])
    if options["token_file"]:
        try:
            headers.append(f"Authorization: Bearer {options['token_file'].read_text().strip()}")
        except OSError as error:
            raise UserError(f"cannot read the token. Received: {options['token_file']} ({error.strerror}).") from error
    bodies = read_bodies(options["bodies"])
    expected = read_bodies(options["expected"]) if options["expected"] else []
    if expected and len(expected) != len(bodies):
        raise UserError(f"--expect needs an answer for each body. Received: {len(expected)} for {len(bodies)} bodies.")
    namespaces = options["namespaces"]
    generators = max(options["generators"], len(namespaces))
    call = parse_target(url, headers, options["allow_remote"])
    hosts = _hosts(call, given, options) if options["hosts"] else None
    return Subject(call, bodies, expected, generators=generators, namespaces=namespaces, hosts=hosts)


def _hosts(call: Call, given: set[str], options: dict[str, Any]) -> Hosts:
    if clash := given & {"generators", "namespaces"}:
        named = " and ".join(f"--{name.removesuffix('s') if name == 'namespaces' else name}" for name in sorted(clash))
        raise UserError(f"--host has no use for {named}. Name a host twice for two generators there.")
    if is_loopback(call.url):
        raise UserError(
            f"to a host, that address is itself. Received: {call.url}. Name the server's address in the network."
        )
    config: Path | None = options["ssh_config"]
    if config is not None and not config.is_file():
        raise UserError(f"no such file. Received: {config}. Name a configuration file of ssh.")
    return checked(Hosts(options["hosts"], options["remote_python"], config), options["allow_remote"])


def _settings(given: set[str], options: dict[str, Any]) -> LoadSettings:
    scenarios: tuple[ScenarioName, ...] = options["scenarios"] or ("server",)
    if scenarios[0] not in get_args(ScenarioName):
        raise unknown("scenario", scenarios[0], get_args(ScenarioName))
    if len(scenarios) > 1:
        raise UserError(f"--url takes one --scenario. Received: {', '.join(scenarios)}.")
    duration, trace = options["duration"], options["trace"]
    if trace and "duration" not in given:
        duration = min(MAX_SECONDS, float(read_trace(trace)[-1]) / 1e9 + 0.01)
    elif options["requests"] and "duration" not in given:
        duration = MAX_SECONDS
    warmup = options["warmup"]
    if warmup is None:
        warmup = 0.0 if trace else min(1.0, 0.2 * duration)
    if scenarios[0] == "server" and not (options["rate"] or trace or options["find_rate"]):
        raise UserError("the server scenario needs --rate or --trace. Received: neither. Name the requests per second.")
    return LoadSettings(
        scenario=scenarios[0],
        duration_s=duration,
        warmup_s=warmup,
        rate_per_s=options["rate"] or (1.0 if options["find_rate"] else None),
        concurrency=options["concurrency"],
        seed=options["seed"],
        timeout_s=options["timeout"],
        arrivals="trace" if trace else options["arrivals"],
        trace=str(trace) if trace else None,
        requests=options["requests"],
        min_duration_s=options["min_duration"],
        min_requests=options["min_requests"],
    )


FILES = ("save", "page", "hdr", "k6", "mlperf")


def _check_writable(options: dict[str, Any]) -> None:
    """Before the test: a result that cannot be written would be a test for nothing. Raises UserError."""
    for name in FILES:
        file: Path | None = options[name]
        if file is not None and not file.absolute().parent.is_dir():
            raise UserError(f"no such folder. Received: {file}. Name a file in a folder that is there.")


def _facts(url: str, settings: LoadSettings, result: Result, ratios: dict[str, Any]) -> dict[str, Any]:
    """The result for JSON: the keys of a Scenario, and what belongs to all runs."""
    return {
        "url": url.rpartition("@")[2],
        **asdict(result.whole),
        "settings": asdict(settings),
        "intervals": {name: plain_interval(one) for name, one in result.intervals.items()},
        "compared": ratios,
        "notes": result.notes,
        "runs": [_brief(one) for one in result.runs] if len(result.runs) > 1 else [],
        "started_s": result.started,
    }


def _brief(one: Scenario) -> dict[str, Any]:
    names = ("valid", "invalid_because", "requests", "errors", "rate_per_s", "p50_ms", "p90_ms", "p99_ms", "max_ms")
    return {name: getattr(one, name) for name in (*names, "send_lag_p99_us", "client_cpu_share")}


def _write_files(options: dict[str, Any], facts: dict[str, Any], result: Result, settings: LoadSettings) -> None:
    if options["save"]:
        save_result(options["save"], facts, result)
    if options["hdr"]:
        together = np.concatenate(result.latencies_ms) if result.latencies_ms else np.empty(0)
        values_ns = np.rint(together * 1e6).astype(np.int64)
        write_text(options["hdr"], log_text(values_ns, result.started, result.whole.duration_s))
    if options["k6"]:
        write_text(options["k6"], json.dumps(exports.k6_summary(result.whole), indent=2) + "\n")
    if options["mlperf"]:
        write_text(options["mlperf"], exports.mlperf_summary(result.whole, asdict(settings)))
    if options["page"]:
        from pipelines.report.load_page import write as write_page

        write_page(facts["url"], result, options["page"])

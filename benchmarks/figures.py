"""Writes the tables of README.md and docs/ from results/: ``python benchmarks/figures.py [--check]``.

Each table stands on one page, between ``<!-- figures:NAME -->`` and ``<!-- /figures -->``. With ``--check`` nothing
is written; exit code 1 means that a page does not show the measured figures.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGES = [HERE.parent / "README.md", *sorted((HERE.parent / "docs").glob("*.md"))]


def number(value: float | None, digits: int = 3) -> str:
    """Formats a figure with this many significant digits; a dash if it was not measured."""
    if value is None:
        return "–"
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def rows_table(results: dict[str, Any]) -> str:
    """Returns one line per row of the report."""
    lines = [
        "| path | served over | size MB | max diff | accuracy | cold start s | memory MB "
        "| single-stream p50 ms | server p50 ms | server p99 ms | offline samples/s | of in-process |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in results["rows"]:
        if row["size_bytes"] is None:  # a precision that this processor does not have
            continue
        share = row["share_of_in_process"]
        cells = [
            f"`{row['path']}:{row['variant']}`",
            row["protocol"],
            number(row["size_bytes"] and row["size_bytes"] / 1e6),
            f"{row['max_abs']:.1e}",
            f"{row['accuracy']:.1%}",
            number(row["cold_start_s"], 2),
            number(row["peak_memory_bytes"] and row["peak_memory_bytes"] / 1e6),
            number(row["single_stream_p50_ms"], 2),
            number(row["server_p50_ms"], 2),
            number(row["server_p99_ms"], 2),
            number(row["offline_samples_per_s"]),
            "–" if share is None else f"{share:.0%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", about(results)])


SUMMARY = (
    ("litert", "int8", "in-process"),
    ("tf-serving", "fp32", "tf-serving-grpc"),
    ("torchserve", "export", "torchserve-grpc"),
    ("onnxruntime", "pytorch", "open-inference-grpc"),
    ("executorch", "int8", "open-inference-grpc"),
)
"""The rows in README.md: one of each way to serve a model."""


def summary_table(results: dict[str, Any]) -> str:
    """Returns the few rows and columns for README.md."""
    lines = [
        "| path | served over | size MB | accuracy | memory MB | server p99 ms | offline samples/s |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    rows = {(row["path"], row["variant"], row["protocol"]): row for row in results["rows"]}
    for row in (rows[key] for key in SUMMARY):
        cells = [
            f"`{row['path']}:{row['variant']}`",
            row["protocol"],
            number(row["size_bytes"] / 1e6),
            f"{row['accuracy']:.1%}",
            number(row["peak_memory_bytes"] / 1e6),
            number(row["server_p99_ms"], 2),
            number(row["offline_samples_per_s"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", about(results)])


def how_often(results: dict[str, Any]) -> str:
    """Says of how many runs the figures are."""
    return "One run" if results["runs"] == 1 else f"Medians of {results['runs']} runs"


def about(results: dict[str, Any]) -> str:
    """Describes where and how the figures were measured."""
    machine, versions = results["machine"], results["versions"]
    shown = ", ".join(f"{name} {versions[name]}" for name in ("torch", "tensorflow", "onnxruntime") if name in versions)
    return (
        f"{how_often(results)} by `{results['command']}` on {results['measured'][:10]}: "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system'].split()[0]}, Python {machine['python']}, "
        f"{shown}. `server` offers {results['rate_per_s']:g} requests/s; one compute thread everywhere; server and "
        "load generator share the cores."
    )


def cost_table(results: dict[str, Any]) -> str:
    """Returns the costs of the tool itself."""

    def of(name: str) -> str:
        value = results[name]
        return f"{value['median']:.2f} s ({value['min']:.2f} to {value['max']:.2f})"

    training = results["training"]
    lines = [
        "| what | measured |",
        "|---|---|",
        f"| `slipway run mnist_cnn`, nothing cached, 5 s of load a row | {results['run_nothing_cached_s']:.0f} s |",
        *(
            [f"| the same, everything cached | {cached['median']:.0f} s |"]
            if (cached := results["run_all_cached_s"])
            else []
        ),
        f"| packaging and verifying all artifacts, everything cached | {of('package_and_verify_all_cached_s')} |",
        f"| `slipway list` | {of('list_s')} |",
        f"| `slipway --help` | {of('help_s')} |",
        f"| peak memory of the parent process of a run | {results['parent_peak_rss_bytes'] / 1e6:.0f} MB |",
        f"| training | {training['wall_s']:.0f} s, test accuracy {training['test_accuracy']:.1%} |",
    ]
    return "\n".join(lines)


def tf_serving_table(results: dict[str, Any]) -> str:
    """Compares the embedded server of TF Serving's API with its goals, reached or not."""
    lines = ["| load | what | measured | to reach | |", "|---|---|--:|--:|---|"]
    for row in results["rows"]:
        met = "reached" if row["reached"] else "not reached"
        lines.append(f"| {row['load']} | {row['what']} | {number(row['value'])} | {row['to_reach']} | {met} |")
    lines += [
        "",
        "| load | CPU ms a request | KServe's | the model's call in process | requests/s | KServe's |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [line for row in results["rows"] for line in _side_by_side(row)]
    runs = f"{how_often(results)} by `python benchmarks/tf_serving/run.py`"
    return "\n".join([*lines, "", f"{runs}: {results['machine']}."])


def _side_by_side(row: dict[str, Any]) -> list[str]:
    """Returns one load on slipway's server, on KServe's and on no server; two lines where batching was turned on."""
    cpu, rate = row.get("cpu_ms", {}), row.get("rate_per_s", {})
    call = cpu.get("in process, session") or cpu.get("a row alone")
    shown = [("", "slipway", call)]
    if "on" in rate:
        shown = [(", batching off", "off", call), (", batching on", "on", cpu["a row of 8"])]
    return [
        f"| {row['load']}{suffix} | {number(cpu.get(ours))} | {number(cpu.get('kserve'))} | {number(call)} "
        f"| {number(rate[ours])} | {number(rate.get('kserve'))} |"
        for suffix, ours, call in shown
        if rate
    ]


def containers_table(results: dict[str, Any]) -> str:
    """Returns the times of the containers, and the sizes of the images."""

    def of(name: str) -> str:
        value = results[name]
        return f"{number(value['median'], 2)} s ({number(value['min'], 2)} to {number(value['max'], 2)})"

    lines = [
        "| what | measured |",
        "|---|---|",
        f"| `docker compose up --wait`, images built: trained, packaged, all healthy | {of('up_empty_volumes_s')} |",
        f"| the same with what it trained before | {of('up_filled_volumes_s')} |",
        f"| an image again after a change of the code | {of('rebuild_after_code_change_s')} |",
        "",
        "| image | MB | of which |",
        "|---|--:|---|",
    ]
    for image in results["images"]:
        parts = ", ".join(f"{name} {size / 1e6:,.0f}" for name, size in image["largest"].items() if size >= 5e6)
        base = f"Python and Debian {results['base_bytes'] / 1e6:,.0f}"
        lines.append(f"| `{image['image']}` | {image['bytes'] / 1e6:,.0f} | {', '.join(filter(None, (base, parts)))} |")
    stand_in = (
        "with the stand-in for Google's image"
        if "slipway/tf-serving" in results["images_used"]
        else "with Google's image"
    )
    return "\n".join(
        [
            *lines,
            "",
            f"{how_often(results)} by `{results['command']}` on {results['measured'][:10]}, {stand_in}: "
            f"{results['cores']} cores, engine {results['engine']}; torch is a CPU wheel from `wheelhouse/`.",
        ]
    )


def loadtest_table(results: dict[str, Any]) -> str:
    """Compares the load test with its goals, reached or not, and each tool's figures of one stall with the truth."""
    lines = ["| what | to reach | measured | |", "|---|---|---|---|"]
    for row in results["verdicts"]:
        met = "reached" if row["reached"] else "not reached"
        lines.append(f"| {row['what']} | {row['to_reach']} | {row['measured']} | {met} |")
    part, machine = results["parts"]["accuracy"], results["machine"]
    lines += ["", "| over | requests/s | tool | p50 ms | p99 ms | max ms | mean ms | answered/s |"]
    lines.append("|---|--:|---|--:|--:|--:|--:|--:|")
    truths = {(row["kind"], row["rate"]): row for row in part["rows"] if row["tool"] == "truth"}
    for row in part["rows"]:
        lines.append(_tool_line(row, truths[row["kind"], row["rate"]]))
    own = f"the median of {part['runs']} runs" if part["runs"] > 1 else "of one run, as the others"
    days = sorted({moment[:10] for moment in results["measured"].values()})
    return "\n".join(
        [
            *lines,
            "",
            f"The server answers after 5 ms and stalls once for 500 ms; each test takes {part['seconds']} s. Figures "
            "within 2 % of the truth are bold. The truth is a range, because it depends on where the stall falls "
            "between two requests. The truth of the mean includes how late the server's answers left by its own clock, "
            f"on average. slipway's row is {own}. Measured by `python benchmarks/loadtest/run.py` on "
            f"{' and '.join(days)}: {machine['cpu']}, {machine['cores']} cores. `wrk` takes no rate: it sends as fast "
            "as ten connections are answered, and corrects its latencies. LoadGen's arrivals are Poisson, so its own "
            "truth varies at 50 requests/s, and a client in Python sends its requests. k6 and LoadGen were given as "
            "many users or threads as a stall needs.",
        ]
    )


def _tool_line(row: dict[str, Any], truth: dict[str, Any]) -> str:
    head = f"| {'gRPC' if row['kind'] == 'grpc' else 'HTTP'} | {row['rate']:,} | {row['tool']} |"
    if "reason" in row:
        return f"{head} {row['reason']} | | | | |"
    names = ("p50_ms", "p99_ms", "max_ms", "mean_ms")
    if row is truth:
        cells = [" to ".join(dict.fromkeys(number(value, 4) for value in row[name])) for name in names]
        return f"{head} {' | '.join(cells)} | {row['rate']:,} |"
    cells = []
    for name in names:
        value, late_ms = row[name], row["server_late_mean_ms"] if name == "mean_ms" else 0.0
        low, high = (bound + late_ms for bound in truth[name])
        close = value is not None and 0.98 * low <= value <= 1.02 * high
        cells.append(f"**{number(value, 4)}**" if close else number(value, 4))
    return f"{head} {' | '.join(cells)} | {number(row['answered_per_s'])} |"


def bodies_table(results: dict[str, Any]) -> str:
    """Returns the CPU time for a megabyte of each body, and the status that answered it, on each server."""
    servers = results["servers"]
    lines = [f"| body | {' | '.join(servers)} |", f"|---|{'--:|' * len(servers)}"]
    for rows in zip(*servers.values(), strict=True):
        cells = [f"{row['cpu_s_per_mb']:.3f} ({', '.join(map(str, row['status']))})" for row in rows]
        lines.append(f"| {rows[0]['what']} | {' | '.join(cells)} |")
    machine = results["machine"]
    return "\n".join(
        [
            *lines,
            "",
            f"CPU seconds for each megabyte that was sent, with the answer's status in brackets: medians of "
            f"{results['runs']} bodies of {results['megabytes']} MB by `{results['command']}` on "
            f"{results['measured'][:10]}: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}.",
        ]
    )


INPUTS = {"mnist_cnn": "28x28", "pictures": "224x224x3"}


def protocol_cost_table(results: dict[str, Any]) -> str:
    """Returns what each layer adds: protocols to the model's own call, then the containers' layers to one another."""
    lines = [
        "| input | path | layer | p50 ms | adds ms | server CPU ms | adds ms | client CPU µs | request bytes "
        "| answer bytes |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    contained = [layer for layer in results["layers"] if layer["via"] in ("container address", "published port")]
    for layer in results["layers"]:
        if layer in contained:
            continue
        names = [INPUTS[layer["model"]], f"`{layer['path']}:{layer['variant']}`", layer["protocol"]]
        if not layer["runs"]:
            lines.append(f"| {' | '.join(names)}: n/a | {' | '.join('–' * 7)} |")
            continue
        if layer["runs"] < results["runs"]:
            names[2] += f" ({layer['runs']} of {results['runs']} runs; {layer['why_missing']})"
        cells = [
            _median(layer["p50_ms"]),
            _spread(layer["added_ms"]),
            _median(layer["server_cpu_ms"]),
            _spread(layer["added_cpu_ms"]),
            _median(layer["client_cpu_us"], 2),
            *(f"{one['median']:,.0f}" if one else "–" for one in (layer["request_bytes"], layer["response_bytes"])),
        ]
        lines.append(f"| {' | '.join([*names, *cells])} |")
    if contained:
        lines += ["", *_container_layers(contained)]
    missing = {}
    for layer in results["layers"]:
        if not layer["runs"]:
            missing.setdefault(layer["why_missing"], []).append(layer["protocol"])
    why = " ".join(f"{', '.join(dict.fromkeys(names))}: {reason}." for reason, names in missing.items())
    machine, versions = results["machine"], results["versions"]
    shown = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    engine = f", engine {results['engine']}" if results["engine"] else "; no container was measured"
    return "\n".join(
        [
            *lines,
            "",
            f"One request at a time. Medians of {results['runs']} runs by `{results['command']}` on "
            f"{results['measured'][:10]}, with the smallest and the largest in brackets: {machine['cpu']}, "
            f"{machine['cores']} cores, Python {machine['python']}, {shown}{engine}. {why}".rstrip(),
        ]
    )


def _container_layers(layers: list[dict[str, Any]]) -> list[str]:
    """Returns one line per protocol: what the container's address adds, and what the published port adds to that."""
    lines = [
        "| path | protocol | container: adds ms | CPU ms | published port: adds ms | CPU ms | of it the proxy's |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    ways: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for layer in layers:
        ways.setdefault((layer["path"], layer["variant"], layer["protocol"]), {})[layer["via"]] = layer
    for (path, variant, protocol), found in ways.items():
        address, port = found["container address"], found["published port"]
        cells = [_spread(layer[name]) for layer in (address, port) for name in ("added_ms", "added_cpu_ms")]
        lines.append(f"| `{path}:{variant}` | {protocol} | {' | '.join([*cells, _median(port['proxy_cpu_ms'])])} |")
    return lines


def _median(value: dict[str, float] | None, digits: int = 3) -> str:
    return number(value["median"] if value else None, digits)


def _spread(value: dict[str, float] | None) -> str:
    """Formats the median of a difference, and its extremes."""
    if value is None:
        return "–"
    # No figure was measured as finely as a microsecond.
    shown = [number(one, 2) if abs(one) >= 1e-3 else "0.000" for one in (value[k] for k in ("median", "min", "max"))]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


OUTCOMES = ("holds", "does not hold", "depends", "undecided", "not testable here", None)
"""The outcomes of a claim, in the order of the ledger's columns; None: it was not measured."""


def claims_summary(results: dict[str, Any]) -> str:
    """Returns the ledger in ten lines: the claims of each section of the article, by their outcome."""
    claims = results["claims"]
    shown = [one for one in OUTCOMES if one or any(claim["outcome"] is None for claim in claims)]
    lines = [
        f"| section of the article | {' | '.join(one or 'not measured' for one in shown)} |",
        f"|---|{'---|' * len(shown)}",
    ]
    for number, title in results["sections"].items():
        here = [claim for claim in claims if claim["sections"][0] == int(number)]
        cells = [", ".join(claim["id"] for claim in here if claim["outcome"] == one) or "–" for one in shown]
        lines.append(f"| {number}. {title} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", about_claims(results)])


def claims_ledger(results: dict[str, Any]) -> str:
    """Returns one line for each claim."""
    machines = _machines(results)
    lines = [
        "| id | claim | verdict | reading | in a sentence | machine | time | verdict before |",
        "|---|---|---|---|---|--:|--:|---|",
    ]
    for claim in results["claims"]:
        measured = claim["outcome"] is not None
        marks = ["stale"] * claim["stale"] + ["the newest is void"] * (claim["void"] is not None)
        marks += [effort for effort in ("quick", "tiny") if claim.get("effort") == effort]
        cells = [
            claim["id"],
            _cell(claim["sentence"]["en"]),
            " ".join([claim["outcome"] or "not measured", *([f"({', '.join(marks)})"] if marks else [])]),
            _cell(claim["number"]) or "–",
            _cell(claim["says"]["en"]) if claim["says"] else "–",
            str(machines.index(_machine(claim["machine"])) + 1) if measured else "–",
            f"{claim['took_s']:,.0f} s" if measured else "–",
            _before(claim, machines),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", about_claims(results), *_twice(results)])


def _before(claim: dict[str, Any], machines: list[str]) -> str:
    """Returns the verdict of the measurement before, with its number and machine."""
    found = claim.get("before")
    if not found:
        return "–"
    number = f", {_cell(found['number'])}" if found["number"] else ""
    return f"{found['outcome']}{number} (machine {machines.index(_machine(found['machine'])) + 1})"


SAYS_NOTHING = ("undecided", "not testable here")


def _twice(results: dict[str, Any]) -> list[str]:
    """Says how many claims have the verdict of the measurement before."""
    pairs = {one["id"]: (one["outcome"], one["before"]["outcome"]) for one in results["claims"] if one.get("before")}
    decided = {name: pair for name, pair in pairs.items() if not set(pair) & set(SAYS_NOTHING)}
    other = [f"{name} ({old}, now {new})" for name, (new, old) in decided.items() if new != old]
    if not pairs:
        return []
    return [
        "",
        f"{len(pairs)} of them were measured before, too: {len(decided)} with a verdict both times, "
        f"{len(decided) - len(other)} of these with the same. " + (f"Others: {', '.join(other)}." if other else ""),
    ]


def about_claims(results: dict[str, Any]) -> str:
    """Says how many claims were measured, where and when, and how long it took."""
    measured = [claim for claim in results["claims"] if claim["outcome"] is not None]
    if not measured:
        return f"None of the {len(results['claims'])} claims is measured yet: `{results['command']}` does it."
    days = sorted({claim["measured"][:10] for claim in measured})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    minutes = sum(claim["took_s"] for claim in measured) / 60
    where = "; ".join(f"{number}: {machine}" for number, machine in enumerate(_machines(results), 1))
    return (
        f"{len(measured)} of {len(results['claims'])} claims measured by `{results['command']}` on {span}, in "
        f"{minutes:.0f} minutes. Machine {where}."
    )


def _machines(results: dict[str, Any]) -> list[str]:
    """Returns the machines that claims were measured on, in the order of the ledger."""
    measured = [claim for claim in results["claims"] if claim["outcome"]]
    earlier = [claim["before"] for claim in results["claims"] if claim.get("before")]
    return list(dict.fromkeys(_machine(one["machine"]) for one in (*measured, *earlier)))


def _machine(machine: dict[str, Any]) -> str:
    memory_gb = machine["memory_bytes"] / 1e9
    return f"{machine['cpu']}, {machine['cores']} cores, {memory_gb:.1f} GB, Python {machine['python']}"


def _cell(text: str) -> str:
    """Makes a sentence fit a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def web_table(results: dict[str, Any]) -> str:
    """Returns what the page of ``slipway web`` takes, beside what it is to reach."""

    def middle(values: list[float]) -> str:
        return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"

    lags = {
        name: [one["p99_us"] for one in rounds if one["p99_us"] is not None]
        for name, rounds in results["send_lag"].items()
    }
    adds = list(results["page_adds_ms"].values())
    machine = results["machine"]
    lines = [
        "| what | measured | to reach |",
        "|---|--:|--:|",
        f"| first paint, ms | {middle(results['opens']['first_paint_ms'])} | 1,000 |",
        f"| interactive, ms | {middle(results['opens']['interactive_ms'])} | 2,000 |",
        f"| the page adds to a call, ms, median of each protocol | {number(min(adds))} to {number(max(adds))} | 2 |",
        f"| send lag p99 of the load generator, us, nobody looks | {middle(lags['alone'])} | |",
        f"| the same, somebody looks at the live figures | {middle(lags['looking'])} | no more |",
        "",
        f"Medians (and extremes) of {len(lags['alone'])} rounds by `{results['command']}` "
        f"on {results['measured'][:10]}: "
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}.",
    ]
    return "\n".join(lines)


def sessions_table(results: dict[str, Any]) -> str:
    """Returns what opening an artifact by slipway adds to the bare call of its library, for each model."""
    lines = [
        "| model | artifact | bare call | bare CPU us | by slipway CPU us | ratio, median (extremes) |",
        "|---|---|---|--:|--:|--:|",
    ]
    for model, rows in results["models"].items():
        for row in rows:
            ratio = row["ratio"]
            cells = [
                model,
                f"`{row['name']}`",
                f"`{row['call']}`",
                number(row["bare_us"]),
                number(row["open_us"]),
                f"{ratio['median']:.3f} ({ratio['min']:.3f} to {ratio['max']:.3f})",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    machine = results["machine"]
    lines += [
        "",
        f"To reach: {results['to_reach']}. Medians of {results['runs']} processes by `{results['command']}` "
        f"on {results['measured'][:10]}: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}.",
    ]
    return "\n".join(lines)


def real_model_table(model: str) -> Callable[[dict[str, Any]], str]:
    """Returns the function that shows every artifact of one of the larger models."""

    def show(results: dict[str, Any]) -> str:
        found = results["models"][model]
        agrees = "top-1" if found["artifacts"][0]["top1"] is not None else "cosine"
        lines = [
            f"| artifact | size MB | SQNR dB | {agrees} | one row: CPU ms | p50 ms | offline rows/s "
            "| best served over | offline rows/s | of in-process |",
            "|---|--:|--:|--:|--:|--:|--:|---|--:|--:|",
        ]
        for one in found["artifacts"]:
            if one["size_bytes"] is None or one["cpu_ms"] is None:
                lines.append(f"| `{one['name']}` | {one['status'][0]}: {_cell(one['reason'] or '')} {'| ' * 8}|")
                continue
            agreement = one["cosine"] if one["top1"] is None else one["top1"]
            share = one["share_of_in_process"]
            cells = [
                f"`{one['name']}`" + (" *" if one["disturbed"] else ""),
                number(one["size_bytes"] / 1e6),
                f"{one['sqnr_db']:.0f}",
                f"{agreement:.4f}" if one["top1"] is None else f"{agreement:.1%}",
                number(one["cpu_ms"]),
                number(one["p50_ms"]),
                number(one["offline_per_s"]),
                one["served_by"] or "–",
                number(one["served_offline_per_s"]),
                "–" if share is None else f"{share:.0%}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        failed = [f"`{one['name']}` {', '.join(one['failed'])}" for one in found["artifacts"] if one["failed"]]
        machine = found["machine"]
        lines += [
            "",
            f"{found['rows']} rows, {found['seconds_per_row']:g} s each, one compute thread, by `{results['command']}` "
            f"on {found['measured'][:10]}: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}. "
            f"The run took {found['wall_s'] / 60:.0f} min. * a row of it is marked as disturbed. "
            f"Rows that failed: {'; '.join(failed) or 'none'}.",
        ]
        return "\n".join(lines)

    return show


def own_models_table(results: dict[str, Any]) -> str:
    """Returns how near each path's default variant is to a user's file, or how it ended."""
    paths = list(dict.fromkeys(path for one in results["files"] for path in one["paths"]))
    lines = [f"| file | {' | '.join(paths)} |", f"|---|{'--:|' * len(paths)}"]
    reasons: dict[str, list[str]] = {}

    def cell(file: dict[str, Any], path: str) -> str:
        found = file["paths"].get(path)
        if found is None:
            return "–" if file["refused"] is None else "refused"
        if found["status"] == "ok":
            return f"{found['max_abs']:.0e}" + (f" ({found['form']})" if found["tries"] else "")
        reasons.setdefault(_cell(found["reason"] or ""), []).append(f"{file['name']} {path}")
        return str(found["status"])

    for file in results["files"]:
        lines.append(f"| `{file['name']}` | {' | '.join(cell(file, path) for path in paths)} |")
    refused = [f"- refused, `{one['name']}`: {_cell(one['refused'])}" for one in results["files"] if one["refused"]]
    failed = [
        f"- {', '.join(names)}: {why}" for why, names in sorted(reasons.items()) if "is made from the form" not in why
    ]
    machine = results["machine"]
    return "\n".join(
        [
            *lines,
            "",
            *refused,
            *failed,
            "",
            f"By `{results['command']}` on {results['measured'][:10]}: {machine['cpu']}, {machine['cores']} cores, "
            f"Python {machine['python']}.",
        ]
    )


TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "summary": ("main_job.json", summary_table),
    "rows": ("main_job.json", rows_table),
    "cost": ("main_job.json", cost_table),
    "tf-serving": ("tf_serving.json", tf_serving_table),
    "bodies": ("bodies.json", bodies_table),
    "containers": ("containers.json", containers_table),
    "loadtest": ("loadtest.json", loadtest_table),
    "claims": ("claims.json", claims_summary),
    "claims-ledger": ("claims.json", claims_ledger),
    "protocol-cost": ("protocol_cost.json", protocol_cost_table),
    "web": ("web.json", web_table),
    "sessions": ("sessions.json", sessions_table),
    "efficientnet_lite0": ("real_models.json", real_model_table("efficientnet_lite0")),
    "own-models": ("own_models.json", own_models_table),
}
"""Maps a table's name to the results that it shows, and the function that shows them."""

_MARKED = re.compile(r"(?<=<!-- figures:)([\w-]+)( -->\n).*?(?=<!-- /figures -->)", re.DOTALL)


def filled(text: str) -> str:
    """Fills a page's tables with the measured figures. Raises KeyError for a table with an unknown name."""

    def table(found: re.Match[str]) -> str:
        name, end = found.groups()
        source, show = TABLES[name]
        return f"{name}{end}{show(json.loads((HERE / 'results' / source).read_text()))}\n"

    return _MARKED.sub(table, text)


def main() -> None:
    pages = {page: page.read_text() for page in PAGES}
    shown = sorted(name for text in pages.values() for name, _ in _MARKED.findall(text))
    if shown != sorted(TABLES):
        raise SystemExit(f"README.md and docs/ should show each table once: {sorted(TABLES)}. Found: {shown}")
    stale = {page: new for page, old in pages.items() if (new := filled(old)) != old}
    if "--check" in sys.argv[1:]:
        names = ", ".join(page.name for page in stale)
        sys.exit(f"not the figures of benchmarks/results: {names}; run: make figures" if stale else 0)
    for page, new in stale.items():
        page.write_text(new)


if __name__ == "__main__":
    main()

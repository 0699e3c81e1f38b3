"""Tables of servers: the API of TensorFlow Serving, bodies, protocols and containers."""

from __future__ import annotations

from typing import Any

from tables.words import how_often, median_of, number, spread_of


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
            median_of(layer["p50_ms"]),
            spread_of(layer["added_ms"]),
            median_of(layer["server_cpu_ms"]),
            spread_of(layer["added_cpu_ms"]),
            median_of(layer["client_cpu_us"], 2),
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
        cells = [spread_of(layer[name]) for layer in (address, port) for name in ("added_ms", "added_cpu_ms")]
        lines.append(f"| `{path}:{variant}` | {protocol} | {' | '.join([*cells, median_of(port['proxy_cpu_ms'])])} |")
    return lines

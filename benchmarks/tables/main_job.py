"""Tables of the main job: one line a row of the report, and a summary."""

from __future__ import annotations

from typing import Any

from tables.words import about, number


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
            "–" if row["accuracy"] is None else f"{row['accuracy']:.1%}",
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
            "–" if row["accuracy"] is None else f"{row['accuracy']:.1%}",
            number(row["peak_memory_bytes"] / 1e6),
            number(row["server_p99_ms"], 2),
            number(row["offline_samples_per_s"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", about(results)])


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

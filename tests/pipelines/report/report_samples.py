"""Reports made up for the faces: one like a real run with everything awkward in it, and the edges."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

from pipelines.fairness.noise import judge
from pipelines.fairness.rounds import changed
from pipelines.report.protocol_cost import protocol_cost
from pipelines.report.recommend import recommend
from pipelines.results import (
    IN_BROWSER,
    IN_PROCESS,
    ArtifactRow,
    Beat,
    Certificate,
    ContainerRow,
    CurvePoint,
    Fairness,
    FileEntry,
    Flip,
    GeneratorFigures,
    Holds,
    LatencyFigures,
    LoadFigures,
    Machine,
    Moment,
    Parity,
    Recommendation,
    Report,
    Row,
    RunSettings,
    Scenario,
    ServerFigures,
    Spread,
    StageUsage,
    Training,
    Unclaimable,
)

INJECTION = '<script>alert("x")</script><img src="https://example.invalid/x.png" onerror="alert(1)"> & {{ 7*7 }}'
LOG = "\n".join(
    ["Traceback (most recent call last):"]
    + [
        f'  File "worker.py", line {n}, in stage_{n}\n    \x1b[31mraise\x1b[0m Überlauf("{INJECTION}")'
        for n in range(6)
    ]
    + ["x" * 400]
)
LONG_REASON = (
    "the converter stopped: 'tf.Conv2D' op is neither a custom op nor a flex op, and the quantised kernel for a "
    "depthwise convolution with dilation 3 and asymmetric padding is not there. Received: model 日本語 "
    f"{INJECTION}. Install it with: pip install 'slipway-paths[litert]'\n{LOG}"
)
NOT_SPOKEN = {"tf-serving": {"tf-serving-rest-binary": f"its REST API has no binary tensors {INJECTION}"}}
SKIPPED_REASON = "torch-model-archiver is not installed. Run: pip install 'slipway-paths[torchserve]'"

# path, framework, {variant: (size, max abs, top-1, accuracy)}, protocols, latency factor
PATHS = (
    (
        "tf-serving",
        "tensorflow",
        {"fp32": (19_400_000, 8.6e-6, 1.0, 0.9912), "xla": (19_400_000, 7.1e-6, 1.0, 0.9912)},
        ("tf-serving-rest", "tf-serving-grpc"),
        1.3,
    ),
    (
        "litert",
        "tensorflow",
        {
            "fp32": (18_600_000, 0.0, 1.0, 0.9912),
            "fp16": (9_300_000, 2.2e-3, 0.9998, 0.9911),
            "int8-dynamic": (5_000_000, 0.12, 0.9951, 0.9893),
            "int8": (5_300_000, 0.31, 0.9912, 0.9871),
        },
        (),
        0.8,
    ),
    (
        "torchserve",
        "torch",
        {"eager": (18_900_000, 0.0, 1.0, 0.9912), "traced": (19_100_000, 2.4e-6, 1.0, 0.9912)},
        ("torchserve-rest", "torchserve-grpc"),
        2.6,
    ),
    (
        "onnxruntime",
        "torch",
        {"fp32": (18_700_000, 7.9e-6, 1.0, 0.9912), "int8-dynamic": (4_900_000, 0.09, 0.9962, 0.9899)},
        ("open-inference-rest", "open-inference-grpc"),
        1.0,
    ),
)


FEW = Unclaimable("p99", samples=212, needed=459)


def scenario(name: str = "server", p99: float | None = 8.0, **changes: object) -> Scenario:
    """One valid load test whose latencies have the median p99 / 2.5 and a long tail, with changes as in ``changed``."""
    top = p99 if p99 is not None else 20.0
    draw = random.Random(f"{name}{top}")  # noqa: S311
    sorted_ms = sorted(top / 2.5 * draw.lognormvariate(0, 0.32) for _ in range(600))
    quantiles = (*(round(sorted_ms[min(599, 6 * q)], 4) for q in range(100)), round(top * 2.2, 4))
    found = Scenario(
        name=name,  # type: ignore[arg-type]
        valid=True,
        invalid_because=None,
        answers_checked=64,
        match_share=1.0,
        load=LoadFigures(
            duration_s=10.02,
            batch=32 if name == "offline" else 1,
            concurrency=1 if name == "single-stream" else 8,
            offered_per_s=100.0 if name == "server" else None,
            rate_per_s=99.7 if name == "server" else 2500 / top,
            samples_per_s=99.7 if name == "server" else 2500 / top * (32 if name == "offline" else 1) / 10,
            requests=1002,
            errors=0,
        ),
        latency=LatencyFigures(
            mean_ms=top / 2.3,
            p50_ms=top / 2.5,
            p90_ms=top / 1.5,
            p99_ms=p99,
            max_ms=top * 2.2,
            unclaimable=() if p99 is not None else (FEW,),
            quantiles_ms=quantiles,
        ),
        generator=GeneratorFigures(
            send_lag_p50_us=61.0, send_lag_p99_us=212.0, cpu_us_per_request=94.0, cpus=(1,), steal_share=0.001
        ),
        server=ServerFigures(
            cpu_ms_per_request=None if name == "offline" else 2.31,
            cores=0.87,
            threads=31,
            busy_threads=2,
            cpus=(0, 1),
            foreign_cpu_share=0.012,
        ),
    )
    return changed(found, changes)


def certificate(
    max_abs: float = 8.6e-6, top1: float = 1.0, accuracy: float | None = 0.9912, **changes: object
) -> Certificate:
    """A passed verdict; a flip for every row that ``top1`` loses."""
    floor, ratio = (100.0, 125.0) if max_abs < 1e-4 else (40.0, 46.0)
    found = Certificate(
        artifact_sha256="5f" * 32,
        basis_sha256="6e" * 32,
        answers_sha256="7f" * 32,
        reference="torch 2.13.0 eager fp32",
        min_sqnr_db=floor,
        atol=None,
        min_top1=1.0 if floor > 99 else 0.98,
        min_cosine=None,
        tolerance_source="variant",
        passed=True,
        breaches=(),
        sqnr_db=ratio,
        max_abs=max_abs,
        p999_abs=max_abs / 2,
        cosine=1 - max_abs / 1000,
        top1=top1,
        accuracy=accuracy,
        reference_accuracy=None if accuracy is None else 0.9912,
        checks=tuple(
            Parity(
                kind,
                batch,
                1000 if kind == "evaluation" else 64,
                max_abs,
                max_abs / 2,
                max_abs * 40,
                ratio,
                1 - max_abs / 1000,
                top1,
            )
            for kind in ("evaluation", "random")
            for batch in (1, 2, 3, 5, 8, 16)
        ),
        flips=tuple(
            Flip("evaluation", 37 * n, n % 10, (n + 3) % 10, 0.004 * (n + 1)) for n in range(round((1 - top1) * 1000))
        ),
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def artifact(
    path: str = "onnxruntime", variant: str = "fp32", size: int = 18_700_000, **changes: object
) -> ArtifactRow:
    """An artifact that was packaged and passed parity."""
    found = ArtifactRow(
        path=path,
        variant=variant,
        framework="torch",
        summary=f"{variant} of {path}",
        status="ok",
        reason=None,
        folder=f"/home/somebody/.cache/slipway/artifacts/efficientnet_lite0/{path}/{variant}/5f5f5f5f5f5f",
        size_bytes=size,
        files=(
            FileEntry("payload/model.onnx", size - 1000, "a1" * 32),
            FileEntry(f"payload/assets/{'deep/' * 12}labels <b>.txt", 1000, "b2" * 32),
        ),
        holds=Holds({"float32": 300, "int8": 9_700}, {"Conv": 2, "<b>": 1}, ("<b>",), 0.5, {"opset": "20"}),
        package=StageUsage(14.2, 16.9, 1_240_000_000),
        verify=StageUsage(6.1, 9.8, 820_000_000),
        certificate=certificate(),
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def row(
    path: str = "onnxruntime",
    variant: str = "fp32",
    protocol: str = "open-inference-grpc",
    p99: float | None = 8.0,
    **changes: object,
) -> Row:
    """A row that was load-tested in all three scenarios."""
    found = Row.at(
        path=path,
        variant=variant,
        way=protocol,
        status="ok",
        reason=None,
        server=None if protocol == IN_PROCESS else f"{path} 1.0 on loopback",
        cold_start_s=2.4,
        peak_memory_bytes=310_000_000,
        share_of_in_process=None if protocol == IN_PROCESS else 0.83,
        answer="tiger cat (0.61)",
        scenarios=(
            scenario("single-stream", None if p99 is None else p99 * 0.7),
            scenario("offline", p99),
            scenario("server", p99),
        ),
        threads_seen=True,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def report(artifacts: tuple[ArtifactRow, ...], rows: tuple[Row, ...], **changes: object) -> Report:
    """A report of these artifacts and rows, with the recommendation that they lead to."""
    found = Report(
        model="efficientnet_lite0",
        title="EfficientNet-Lite0, ImageNet, 224 x 224",
        task="top-1",
        started="2026-11-22T20:41:41+00:00",
        wall_s=1243.7,
        machine=Machine("Linux 6.1 x86_64", "3.11.9", "AMD EPYC 7B13", 2, 8_200_000_000),
        versions={
            "torch": "2.13.0",
            "tensorflow": "2.21.0",
            "onnxruntime": "1.32.0",
            "numpy": "2.4.1",
            "keras": "3.15.1",
        },
        settings=RunSettings(
            "slipway run efficientnet_lite0 --paths tf-serving,litert,torchserve,onnxruntime --seconds 10 --rate 100",
            10.0,
            100.0,
            1,
            ("single-stream", "offline", "server"),
        ),
        training=Training("torch", "c3" * 32, 0.9912, 4_652_008, 181.0, False),
        artifacts=artifacts,
        rows=rows,
        recommendation=recommend(artifacts, rows),
        parent_peak_rss_bytes=142_000_000,
    )
    found = replace(found, **changes)  # type: ignore[arg-type]
    return replace(found, protocol_cost=protocol_cost(found.rows, found.containers, NOT_SPOKEN))


def full() -> Report:
    """Four paths, ten artifacts, sixteen rows and more: failed, skipped, invalid and unclaimable ones among them."""
    draw = random.Random(7)  # noqa: S311
    artifacts, rows = [], []
    for path, framework, variants, protocols, factor in PATHS:
        for variant, (size, max_abs, top1, accuracy) in variants.items():
            proof = certificate(max_abs, top1, accuracy)
            artifacts.append(artifact(path, variant, size, framework=framework, certificate=proof))
            for protocol in (IN_PROCESS, *protocols):
                slow = 1.0 if protocol == IN_PROCESS else 1.5 if protocol.endswith("grpc") else 3.1
                rows.append(
                    row(
                        path,
                        variant,
                        protocol,
                        9.0 * factor * slow * draw.uniform(0.9, 1.1),
                        cold_start_s=2.1 * factor * draw.uniform(0.6, 3),
                        peak_memory_bytes=int(210e6 * factor * slow),
                        share_of_in_process=None if protocol == IN_PROCESS else 1 / slow,
                    )
                )
    failed = replace(artifacts[4], status="failed", reason=LONG_REASON, certificate=None, size_bytes=None, files=())
    breached = certificate(
        0.9, 0.951, 0.94, passed=False, breaches=("max abs 0.9 is over 0.5", "top-1 0.951 is under 0.98")
    )
    artifacts[4] = replace(failed, package=None, verify=None, folder=None)
    artifacts[5] = replace(
        artifacts[5], status="failed", reason="parity: max abs 0.9 is over 0.5", certificate=breached
    )
    artifacts[7] = ArtifactRow("torchserve", "traced", "torch", "TorchScript", "skipped", SKIPPED_REASON)
    verdicts = {(a.path, a.variant): a for a in artifacts}
    for index, one in enumerate(rows):
        verdict = verdicts[one.path, one.variant]
        if verdict.status != "ok":
            rows[index] = Row.at(one.path, one.variant, one.way, verdict.status, verdict.reason)
    index = next(i for i, one in enumerate(rows) if one.protocol == "torchserve-rest")
    single, offline, _ = rows[index].scenarios
    examples = ("503 Service Unavailable", f"timeout after 10 s {INJECTION}")
    rows[index] = replace(
        rows[index],
        scenarios=(
            changed(single, {"latency.p99_ms": None, "latency.unclaimable": (FEW,)}),
            changed(offline, {"load.errors": 3, "load.error_examples": examples}),
            scenario(
                "server", 61.0, valid=False, invalid_because="sent 61.2 of 100 requests/s: the server cannot keep up"
            ),
        ),
    )
    rows[1] = replace(
        rows[1], status="failed", reason=f"the server died: {INJECTION}\n{LOG}", scenarios=(), cold_start_s=None
    )
    return report(tuple(artifacts), tuple(rows))


def everything_failed() -> Report:
    """Nothing worked, every optional value is null, and every text is an attack."""
    artifacts = tuple(
        ArtifactRow(f"{INJECTION} {n}", "日本語", "?", INJECTION, "failed", LONG_REASON) for n in range(3)
    )
    rows = (
        Row.at(artifacts[0].path, "日本語", INJECTION, "failed", LONG_REASON),
        Row.at("ghost", "a", "b", "skipped", None),
    )
    return report(
        artifacts, rows, title=INJECTION, model=INJECTION, versions={}, interrupted=True, parent_peak_rss_bytes=None
    )


def cut_short() -> Report:
    """A run that was interrupted while its model was trained: no training, no figure."""
    why = "interrupted before it was measured"
    artifacts = (ArtifactRow("litert", "fp32", "tensorflow", "flatbuffer, float32", "skipped", why),)
    made = report(artifacts, (Row.at("litert", "fp32", IN_PROCESS, "skipped", why),), interrupted=True)
    return replace(made, training=None)


def nulls() -> Report:
    """Rows that are ok, with the required figures only."""
    made = scenario("server", None)
    empty = replace(
        made,
        answers_checked=0,
        match_share=None,
        load=replace(made.load, offered_per_s=None, requests=0),
        latency=LatencyFigures(None, None, None, None, None, unclaimable=(FEW,)),
        generator=GeneratorFigures(),
        server=ServerFigures(),
    )
    bare = Row.at("litert", "fp32", IN_PROCESS, "ok", None, scenarios=(empty, replace(empty, name="offline")))
    return report((ArtifactRow("litert", "fp32", "tensorflow", "", "ok", None),), (bare, replace(bare, path="orphan")))


def nothing() -> Report:
    """No artifact, no row."""
    return report((), (), recommendation=Recommendation(None, "No row is served."))


def many(count: int = 15) -> Report:
    """Fifteen paths: no code may depend on their number."""
    artifacts = tuple(artifact(f"path-{n}", "fp32", 1_000_000 * (n + 1)) for n in range(count))
    rows = tuple(
        row(f"path-{n}", "fp32", protocol, 4.0 + n)
        for n in range(count)
        for protocol in (IN_PROCESS, "open-inference-grpc")
    )
    return report(artifacts, rows)


def ninety() -> Report:
    """Ninety rows of fifteen paths, with all plots; of each path, the best one is in the middle."""
    tail = tuple((10.0 ** (n / 20), 1.0) for n in range(61))
    slices = tuple(Moment(0.1 * n, 0.1, 20, 0, 2.0, 5.0, 9.0) for n in range(100))
    variants, ways = ("fp32", "int8-dynamic"), (IN_PROCESS, "open-inference-rest-binary", "open-inference-grpc")
    names = [f"a-path-with-a-long-name-{n}" for n in range(15)]
    rows = []
    for number, (path, variant, way) in enumerate(itertools.product(names, variants, ways)):
        one = row(path, variant, way, 40.0 - 0.3 * number + 9.0 * (way != ways[1]))
        plots = {
            "latency.tail": tuple((at, (1 + number / 90) * at**0.3) for at, _ in tail),
            "latency.timeline": tuple(replace(part, max_ms=9.0 + number) for part in slices),
        }
        loads = tuple(changed(load, plots) if load.name == "server" else load for load in one.scenarios)
        rows.append(curved(replace(one, scenarios=loads), 900.0 + 50 * number))
    return report(tuple(artifact(path, variant) for path in names for variant in variants), tuple(rows))


def fairness(scenarios: tuple[Scenario, ...] = (), rounds: int = 1, **changes: object) -> Fairness:
    """Measurements of some rows on a quiet machine with two processors."""
    beats = tuple(Beat(17.0 * n, 0.131 + 0.0004 * n) for n in range(7))
    checks = judge(scenarios, beats, 0.004)
    order = tuple(
        tuple(f"{name} in-process" for name in ("litert:fp32", "onnxruntime:fp32", "tf-serving:xla"))
        for _ in range(rounds)
    )
    found = Fairness(7, order, (0, 1), (0, 1), False, 0.31, 0.004, None, beats, checks, False)
    return replace(found, **changes)  # type: ignore[arg-type]


def scattered(one: Row) -> Row:
    """The row as five rounds would have it: every figure between 10 % less and 20 % more."""

    def spread(figure: str, value: float | None) -> tuple[Spread, ...]:
        if value is None:
            return ()
        values = tuple(value * factor for factor in (0.9, 0.95, 1.0, 1.1, 1.2))
        return (Spread(figure, values[0], values[-1], 0.9375, values),)

    loads = tuple(
        replace(
            load,
            rounds=5,
            spreads=(
                *spread("latency.p50_ms", load.latency.p50_ms),
                *spread("latency.p99_ms", load.latency.p99_ms),
                *spread("load.samples_per_s", load.load.samples_per_s),
            ),
        )
        for load in one.scenarios
    )
    spreads = (*spread("cold_start_s", one.cold_start_s), *spread("peak_memory_bytes", one.peak_memory_bytes))
    return replace(one, scenarios=loads, rounds=5, spreads=spreads)


def curved(one: Row, capacity: float) -> Row:
    """The row with a latency-throughput curve that ends near its capacity."""
    points = tuple(
        CurvePoint(capacity * u, capacity * u, 1.0 / (1 - u), 3.0 / (1 - u) if u > 0.2 else None)
        for u in (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95)
    )
    return replace(one, scenarios=tuple(replace(s, curve=points) if s.name == "server" else s for s in one.scenarios))


def in_rounds() -> Report:
    """Five rounds with curves on a noisy machine; one row broke its promise of threads, one could not be checked."""
    artifacts = tuple(artifact(path, "fp32") for path in ("litert", "onnxruntime", "tf-serving", "torchserve"))
    rows = []
    for number, one in enumerate(artifacts):
        rows.append(scattered(row(one.path, one.variant, IN_PROCESS, 2.0 + number)))
        for protocol in ("rest", "grpc")[: 2 * bool(number)]:
            served = row(one.path, one.variant, f"{one.path}-{protocol}", 5.0 + number)
            rows.append(curved(scattered(served), 9000.0 / (number + 1) * (1 + (protocol == "grpc"))))
    broken = "single-stream: 1.93 cores busy with 1 request at a time, told 1 compute thread (limit 1.15)"
    probe = scenario("offline", **{"load.concurrency": 1})
    rows = [one if one.where == IN_PROCESS else replace(one, threads_probe=probe) for one in rows]
    rows[1] = replace(rows[1], breaches=(broken,))
    rows[2] = replace(rows[2], threads_seen=False)
    scenarios = tuple(changed(load, {"server.foreign_cpu_share": 0.31}) for one in rows for load in one.scenarios)
    noisy = fairness(scenarios, 5, checks=judge(scenarios, fairness().beats, 0.31), noisy=True)
    made = report(artifacts, tuple(rows))
    return replace(made, fairness=noisy, settings=replace(made.settings, repeat=5))


def contained() -> Report:
    """Servers in containers: one by both ways, one that has no row of a bare process, one without an image."""
    protocols = ("open-inference-rest", "open-inference-grpc")
    rows = [row(protocol=protocol, p99=8.0, scenarios=_loads(8.0)) for protocol in protocols]
    containers = [
        ContainerRow(
            way,
            row(protocol=protocol, cold_start_s=3.1, scenarios=_loads(p99, proxy)),
            "slipway/open-inference",
            644_000_000,
            2.9,
        )
        for protocol in protocols
        for way, p99, proxy in (("published port", 12.0, 0.09), ("container address", 8.4, None))
    ]
    lost = Row.at("onnxruntime", "int8", "open-inference-rest", "failed", f"the container died: {INJECTION}\n{LOG}")
    absent = Row.at(
        "tf-serving", "fp32", "tf-serving-rest", "skipped", "no Docker engine answers. Install Docker Engine."
    )
    containers += [ContainerRow("published port", lost, "slipway/open-inference", 644_000_000)]
    containers += [ContainerRow("published port", absent), ContainerRow("container address", absent)]
    others = [artifact(path, "fp32") for path in ("tf-serving", "torchserve", "litert")]
    rows += [row(one.path, one.variant, IN_PROCESS) for one in others]
    return report((artifact(), *others), tuple(rows), containers=tuple(containers))


def _loads(p99: float, proxy: float | None = None) -> tuple[Scenario, ...]:
    return (
        scenario("single-stream", p99 * 0.7, **{"server.proxy_cpu_ms_per_request": proxy}),
        scenario("server", p99, **{"server.proxy_cpu_ms_per_request": proxy}),
    )


def in_browser() -> Report:
    """Two rows in a browser, one of which a machine without one has skipped, beside one in process."""
    figures = {"first_call_s": 0.16, "load_s": 1.25, "download_bytes": 14_537_901, "page_memory_bytes": 20_570_668}
    artifacts = (artifact("tfjs", "webgl"), artifact("onnxruntime-web"), artifact("litert"))
    why = "no browser: none of chromium, google-chrome is on PATH. Install one with: apt-get install chromium"
    rows = (
        Row.at("tfjs", "webgl", IN_BROWSER, "skipped", why),
        row("onnxruntime-web", "fp32", IN_BROWSER, server=None, share_of_in_process=None, answer=None, **figures),
        row("litert", "fp32", IN_PROCESS, answer=None),
    )
    return report(artifacts, rows)


MADE = (full, everything_failed, cut_short, nulls, nothing, many, ninety, in_rounds, contained, in_browser)
REPORTS = {make.__name__: make for make in MADE}

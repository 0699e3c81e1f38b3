"""Measures the cost of each layer between a client and a model; writes results/protocol_cost.json.

For every path with a server: the model's own call in process, JSON, binary REST and gRPC to the bare process, and
the same to the container's address and to its published port, if a Docker engine answers. Two inputs: the digits of
mnist_cnn (28x28) and ``pictures`` (224x224x3). One request at a time. In each run the layers of an artifact are
measured in another order, with its servers up and warmed up all the time; differences are taken within a run, and
every figure is the median of the runs, with its extremes.

    python benchmarks/protocol_cost.py [--runs 5] [--seconds 0.8] [--no-containers] [--workspace FOLDER]

With containers, the images are built first, from this repository: `docker compose build`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pictures
from pydantic import TypeAdapter

from models.trained import spec_of
from pipelines.artifacts.artifact import Artifact, Manifest, find
from pipelines.artifacts.workspace import Workspace
from pipelines.fairness.disturbed import judged
from pipelines.fairness.hardware import this_machine
from pipelines.loadtest.settings import LoadSettings
from pipelines.measure import container
from pipelines.measure.server import started
from pipelines.paths import Card, path_module, version_of
from pipelines.report.protocol_cost import SCENARIO, WAYS, protocol_cost
from pipelines.results import IN_PROCESS, ContainerRow, Holds, LayerCost, Row, Scenario
from pipelines.stages.answers import ANSWERS
from pipelines.stages.worker import run_stage
from serving.container import engine
from serving.tf_serving.container import STAND_IN, VARIABLE

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "protocol_cost.json"
PATHS = ("tf-serving", "torchserve", "onnxruntime")
DIGITS = "mnist_cnn"
CONTAINED = {DIGITS}
"""Models that are also measured in containers: an address and a proxy add much the same for any model."""
IMAGES = ("tf-serving", "torchserve", "open-inference")
DISTRIBUTIONS = ("tensorflow", "torch", "torchserve", "onnxruntime", "kserve")
FIGURES = (
    *("p50_ms", "server_cpu_ms", "proxy_cpu_ms", "client_cpu_us", "request_bytes", "response_bytes"),
    *("over_in_process_ms", "over_in_process_cpu_ms", "added_ms", "added_cpu_ms"),
)
WARM = LoadSettings(SCENARIO, 1.0, 0.0)
"""Requests before the measurement: a virtual machine compiles what it has run often."""

Measure = Callable[[], Row | ContainerRow]


@dataclass(frozen=True, slots=True)
class Subject:
    """An artifact of one model, whose layers are measured."""

    model: str
    card: Card
    artifact: Artifact
    settings: LoadSettings

    @property
    def name(self) -> str:
        return f"{self.model} {self.artifact.name}"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def command(words: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
    """Runs a command. Raises SystemExit with the last lines of its output if it fails."""
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout)[-4000:]
        raise SystemExit(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{said}")


def subjects(workspace: Workspace, settings: LoadSettings) -> Iterator[Subject]:
    """Packages and yields every artifact."""
    names = [f"{path}:{next(iter(path_module(path).CARD.variants))}" for path in PATHS]
    say(f"packaging {DIGITS}: {', '.join(names)}")
    command([sys.executable, "-m", "pipelines", "--workspace", workspace.root, "package", DIGITS, *names])
    for name in names:
        path, _, variant = name.partition(":")
        yield Subject(DIGITS, path_module(path).CARD, find(workspace, DIGITS, path, variant), settings)
    for name in names:
        path, _, variant = name.partition(":")
        say(f"packaging {pictures.SPEC.name}: {name}")
        folder = Path(tempfile.mkdtemp(dir=workspace.root))
        command([sys.executable, Path(__file__).with_name("pictures.py"), path, folder])
        spec = pictures.SPEC
        manifest = Manifest(
            key="",
            model=spec.name,
            path=path,
            variant=variant,
            framework=path_module(path).CARD.variants[variant].framework,
            form=path_module(path).CARD.variants[variant].takes,
            tries=(),
            model_training={},
            model_sha256="",
            artifact_sha256="",
            size_bytes=0,
            files=(),
            versions={},
            signature=spec.signature(),
            labels=spec.labels,
            holds=Holds({}, {}),
        )
        # Its JSON takes a tenth of a second a request.
        longer = replace(settings, duration_s=2 * settings.duration_s)
        yield Subject(spec.name, path_module(path).CARD, Artifact(folder, manifest), longer)


def measure(subject: Subject, runs: int, in_container: bool, logs: Path) -> list[tuple[LayerCost, ...]]:
    """Measures the layers of one artifact, run by run, while its servers stay up."""
    card, artifact = subject.card, subject.artifact
    spec = pictures.SPEC if subject.model == pictures.SPEC.name else spec_of(subject.model)
    found = []
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        bare = stack.enter_context(started(card, artifact, folders[0]))
        steps: list[Measure] = [lambda: in_process(subject, logs)]

        def over(server: Any, protocol: str, endpoints: Any, settings: LoadSettings = subject.settings) -> Row:
            with tempfile.TemporaryDirectory() as folder:
                bench = rows.Bench(card, artifact, spec, rows.MeasurePlan([settings], probes_threads=False))
                found = rows.measure_protocol(bench, protocol, server, Path(folder), url=endpoints[protocol])
                return judged(found)

        for protocol in card.protocols:
            steps.append(lambda protocol=protocol: over(bare, protocol, bare.recipe.endpoints))
        inside = None
        if in_container:
            inside = stack.enter_context(container.started(card, artifact, folders[1], say))
            ways = dict(zip(WAYS, (inside.direct_endpoints(), dict(inside.recipe.endpoints)), strict=True))
            for via, endpoints in ways.items():
                for protocol in card.protocols:
                    steps.append(
                        lambda via=via, protocol=protocol, endpoints=endpoints: ContainerRow(
                            via, over(inside, protocol, endpoints)
                        )
                    )
        for server in (bare, inside) if inside else (bare,):
            for protocol in card.protocols:
                over(server, protocol, server.recipe.endpoints, WARM)
        for run in range(runs):
            begun = time.monotonic()
            rows = [step() for step in random.Random(run).sample(steps, len(steps))]  # noqa: S311
            alone = [row for row in rows if isinstance(row, Row)]
            # In the report's order, not in the order of measuring.
            alone.sort(key=lambda row: (IN_PROCESS, *card.protocols).index(row.way))
            containers = [row for row in rows if isinstance(row, ContainerRow)]
            found.append(protocol_cost(alone, containers, {card.name: card.not_spoken}))
            say(f"{subject.name}: run {run + 1} of {runs}, {time.monotonic() - begun:.0f} s")
    return found


def in_process(subject: Subject, logs: Path) -> Row:
    """Measures the model's own call, in the worker of a run of slipway."""
    card, artifact = subject.card, subject.artifact
    request = {
        "path": card.name,
        "payload": str(artifact.payload),
        "answers": str(artifact.folder / ANSWERS),
        "settings": [asdict(subject.settings)],
        "threads": 1,
    }
    value = run_stage("measure", request, logs / "measure.log", threads=1).value
    scenarios = TypeAdapter(tuple[Scenario, ...]).validate_python(value["scenarios"])
    return judged(Row.at(card.name, artifact.manifest.variant, IN_PROCESS, "ok", None, scenarios=scenarios))


def summary(subject: Subject, runs: Sequence[tuple[LayerCost, ...]]) -> list[dict[str, Any]]:
    """Returns one entry per layer: the median of each figure and its extremes, and why it was missing, if ever."""
    layers = []
    for same in zip(*runs, strict=True):
        first = same[0]
        entry: dict[str, Any] = {"model": subject.model} | {
            name: getattr(first, name) for name in ("path", "variant", "protocol", "via")
        }
        usable = [one for one in same if one.why_missing is None]
        entry["below"] = usable[0].below if usable else first.below
        entry["runs"] = len(usable)
        entry["why_missing"] = next((one.why_missing for one in same if one.why_missing), None)
        for name in FIGURES:
            values = [value for one in usable if (value := getattr(one, name)) is not None]
            entry[name] = (
                {"median": statistics.median(values), "min": min(values), "max": max(values)} if values else None
            )
        layers.append(entry)
    return layers


def images(wanted: bool) -> str | None:
    """Builds the images; returns the engine's version, or None if there is no engine or no image is wanted."""
    if not wanted:
        return None
    try:
        client = engine.connect()
    except engine.EngineMissing as error:
        say(f"no containers: {error}")
        return None
    try:
        version = str(client.version()["Version"])
    finally:
        client.close()
    os.environ.setdefault(VARIABLE, STAND_IN)
    say(f"building the images of {', '.join(IMAGES)}")
    command(["docker", "compose", "build", *IMAGES], env=dict(os.environ))
    return version


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.8, help="measured time of one layer in one run")
    parser.add_argument("--no-containers", action="store_true")
    parser.add_argument("--workspace", type=Path, help="a folder that keeps the artifacts (default: a temporary one)")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.runs < 1 or options.seconds <= 0:
        parser.error(f"--runs and --seconds must be above 0. Received: {options.runs} and {options.seconds}")
    settings = LoadSettings(SCENARIO, options.seconds, min(0.3, options.seconds))
    version = images(not options.no_containers)
    begun, layers = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace((options.workspace or Path(folder)).resolve())
        workspace.check_writable()
        for subject in list(subjects(workspace, settings)):
            in_container = version is not None and subject.model in CONTAINED
            runs = measure(subject, options.runs, in_container, Path(folder))
            layers += summary(subject, runs)
    results = {
        "command": "python benchmarks/protocol_cost.py",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(this_machine()),
        "versions": {name: version_of(name) for name in DISTRIBUTIONS},
        "engine": version,
        "tf_serving_image": os.environ.get(VARIABLE) if version else None,
        "runs": options.runs,
        "seconds": options.seconds,
        "wall_s": time.monotonic() - begun,
        "layers": layers,
    }
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    print(options.output)


if __name__ == "__main__":
    main()

"""Starts real servers with their metrics on, sends right and wrong requests, and sees which the metrics show."""

from __future__ import annotations

import importlib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models import MODELS
from models.spec import BATCH, ModelSpec, spec_of
from pipelines.artifacts.artifact import Artifact, read_manifest
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import NotPossible, SlipwayError
from pipelines.measure.server import request_for, target_of
from pipelines.paths import path_module
from serving.clients import ProtocolError, client
from serving.clients.transport import Unreachable, send
from serving.launch import LaunchError, Recipe, Running, serve

RIGHT, WRONG = 20, 5
"""Requests of each kind."""
SCRAPE_S = 10.0
OWN = ("process_", "python_", "jvm_")
"""Metrics of the server's process, not of its work."""

HOST = "Hostname"
"""A label that names this machine."""

Samples = Mapping[tuple[str, str], float]
"""{(name, labels as text): value} of a page of metrics."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A server with metrics: ``on`` changes its recipe so that it offers them; ``url`` is where they then are."""

    path: str
    protocol: str
    on: Callable[[Recipe, Path], Recipe]
    url: Callable[[Recipe, Path], str]


def _tf_serving_on(recipe: Recipe, workdir: Path) -> Recipe:
    config = workdir / "monitoring.txt"
    config.write_text("prometheus_config { enable: true }\n")
    return replace(recipe, argv=(*recipe.argv, f"--monitoring_config_file={config}"))


def _torchserve_on(recipe: Recipe, workdir: Path) -> Recipe:
    """Change the settings that the recipe wrote: by themselves, its metrics are off."""
    settings = workdir / "config.properties"
    text = settings.read_text()
    for off, on in (
        ("enable_metrics_api=false", "enable_metrics_api=true"),
        ("metrics_mode=log", "metrics_mode=prometheus"),
    ):
        if off not in text:
            raise SlipwayError(f"TorchServe's settings must have {off}. Received: {settings.name} without it")
        text = text.replace(off, on)
    settings.write_text(text)
    return recipe


def _torchserve_url(recipe: Recipe, workdir: Path) -> str:  # noqa: ARG001
    lines = (workdir / "config.properties").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("metrics_address=")) + "/metrics"


WATCHED = {
    "TF Serving": Watched(
        "tf-serving",
        "tf-serving-rest",
        _tf_serving_on,
        lambda recipe, _: recipe.endpoints["tf-serving-rest"] + "/monitoring/prometheus/metrics",
    ),
    "TorchServe": Watched("torchserve", "torchserve-rest", _torchserve_on, _torchserve_url),
    "KServe with ONNX Runtime": Watched(
        "onnxruntime",
        "open-inference-rest",
        lambda recipe, _: recipe,
        lambda recipe, _: recipe.endpoints["open-inference-rest"] + "/metrics",
    ),
}


def artifact_of(workspace: Workspace, path: str) -> Artifact | None:
    """Return the artifact of a path's default variant, of the first model that has one; None without any."""
    variant = next(iter(path_module(path).CARD.variants))
    for model in MODELS:
        place = workspace.artifact(model, path, variant)
        if place.exists():
            return Artifact(place.resolve(), read_manifest(place / "manifest.json"))
    return None


def watch(workspace: Workspace, name: str, workdir: Path) -> dict[str, Any]:
    """Serve an artifact, send RIGHT and WRONG requests, and return what the metrics show: {kind: names}, the server.

    Raises NotPossible, with the command that makes the artifact, or SlipwayError if the server cannot be used.
    """
    watched = WATCHED[name]
    artifact = artifact_of(workspace, watched.path)
    if artifact is None:
        raise NotPossible(
            f"no artifact of {watched.path} to serve. This makes one: slipway package mnist_cnn {watched.path}"
        )
    spec = spec_of(artifact.manifest.model)
    with _started(watched, artifact, workdir) as (server, url):
        ask = _asker(server, watched.protocol, spec)
        if not ask(1.0):
            raise SlipwayError(server.describe(f"{name} does not answer a right request"))
        before = _page(url)
        answered = sum(ask(1.0) for _ in range(RIGHT))
        after_right = _page(url)
        refused = sum(not ask(0.5) for _ in range(WRONG))
        after_wrong = _page(url)
        if (answered, refused) != (RIGHT, WRONG):
            raise SlipwayError(
                f"{name} must answer {RIGHT} right requests, and refuse {WRONG}. Received: {answered}, {refused}"
            )
        return {"server": server.recipe.server, "shows": shown(before, after_right, after_wrong, RIGHT, WRONG)}


@contextmanager
def _started(watched: Watched, artifact: Artifact, workdir: Path) -> Iterator[tuple[Running, str]]:
    workdir.mkdir(parents=True)
    request = request_for(artifact, workdir, 1, None, "127.0.0.1", None, None)
    module = importlib.import_module(str(path_module(watched.path).CARD.server))
    recipe = watched.on(module.recipe(request), workdir)
    try:
        with serve(recipe, workdir) as server:
            yield server, watched.url(recipe, workdir)
    except LaunchError as error:
        raise SlipwayError(str(error)) from error


def _asker(server: Running, protocol: str, spec: ModelSpec) -> Callable[[float], bool]:
    """Return a function that sends a share of the bytes of a request, and tells whether an answer came back."""
    target, speaker = target_of(server, protocol, spec), client(protocol)
    free = {BATCH: 1, **{name: max(2, low) for name, (low, _) in spec.lengths.items()}}
    body = speaker.encode(target, {one.name: np.ones(one.shape_with(free), one.dtype) for one in spec.inputs})

    def ask(share: float) -> bool:
        part = body[: int(len(body) * share)]
        try:
            speaker.decode(target, send(speaker.call(target, part), part))
        except (ProtocolError, Unreachable):
            return False
        return True

    return ask


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=SCRAPE_S) as answer:  # noqa: S310 - a server that was just started
        text: str = answer.read().decode()
    return text


def shown(before: str, after_right: str, after_wrong: str, right: int, wrong: int) -> dict[str, list[str]]:
    """Return which metrics show what, out of three pages: {kind: names of metrics, sorted}.

    ``requests`` grew by all right requests; ``errors`` only by the wrong ones; ``latency histogram`` has buckets and
    counted the right requests, ``latency sum`` grew with them and has none; ``queue`` and ``memory`` by their names.
    """
    first, second, third = map(_samples, (before, after_right, after_wrong))
    histograms = {name.removesuffix("_bucket") for name, _ in third if name.endswith("_bucket")}
    found: dict[str, set[str]] = {
        kind: set() for kind in ("requests", "errors", "latency histogram", "latency sum", "queue", "memory")
    }
    for (name, labels), value in third.items():
        words = name.lower()
        base = name.removesuffix("_count").removesuffix("_sum")
        by_right = second.get((name, labels), 0.0) - first.get((name, labels), 0.0)
        by_wrong = value - second.get((name, labels), 0.0)
        timed = any(word in words for word in ("latency", "seconds", "duration", "time"))
        if "queue" in words:
            found["queue"].add(base)
        if "memory" in words:
            found["memory"].add(base)
        if words.startswith(OWN) or name.endswith(("_bucket", "_created")):
            continue
        if base in histograms:
            if name.endswith("_count") and by_right >= right:
                found["requests"].add(name)
                if timed:
                    found["latency histogram"].add(base)
        elif timed and by_right > 0:
            found["latency sum"].add(name)
        elif by_right >= right:
            found["requests"].add(name)
        if by_right == 0 and by_wrong >= wrong and not timed:
            found["errors"].add(f"{name}{{{labels}}}" if labels else name)
    return {kind: sorted(names) for kind, names in found.items()}


def _samples(page: str) -> Samples:
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (sample.name, ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()) if key != HOST)): (
            sample.value
        )
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }

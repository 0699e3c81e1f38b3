"""Makes KServe InferenceServices for artifacts: pure functions from manifests and container recipes to plain data.

A replica runs the same image, command line and limits as ``slipway serve --container``, from the same recipe.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from typing import Any

from pipelines.artifacts.artifact import Manifest
from pipelines.base.errors import UserError
from serving.container.hardening import USER
from serving.container.recipe import ContainerRecipe, HttpProbe, Image
from serving.extras import DISTRIBUTION

CONTAINER = "kserve-container"
"""KServe's name for the container that predicts."""
CANARY_PERCENT = 10
MAX_REPLICAS = 3
TARGET_CONCURRENCY = 4
"""Requests in flight per replica at which another one is started: two for each of its processors."""
TIMEOUT_S = 60
STARTUP_S = 600
"""So long a server may take until it predicts for the first time."""


def service_name(model: str, path: str) -> str:
    """Return the DNS label (RFC 1123) of a model behind a path's server."""
    return re.sub(r"[^a-z0-9]+", "-", f"{model}-{path}".lower()).strip("-")[:63].rstrip("-")


def storage_uri(base: str, manifest: Manifest) -> str:
    """Return the payload's URI: the folders below ``base`` are those below ``artifacts`` in the workspace.

    It is the build's own, which no other build takes over: a pod that restarts would serve what lies there.
    """
    return f"{base.rstrip('/')}/.store/{manifest.key}/payload"


def tagged(image: Image) -> str:
    """Return the image's name with a tag: of an image that is built here, slipway's version. Raises UserError."""
    name, _, tag = image.name.rpartition(":")
    if "@" in image.name or (name and "/" not in tag and tag != "latest"):
        return image.name
    if image.dockerfile is None:
        raise UserError(
            f"{image.variable} must name an image with a tag other than latest: all replicas of a service run the same "
            f"version. Received: {image.name}"
        )
    return f"{image.name}:{version(DISTRIBUTION)}"


def inference_service(
    recipe: ContainerRecipe, manifest: Manifest, base: str, canary_percent: int | None = None
) -> dict[str, Any]:
    """Return the InferenceService (serving.kserve.io/v1beta1) of one artifact.

    With ``canary_percent`` it is the next version of a running service: it gets that share of the
    requests, and the last version that had all of them gets the rest.
    """
    predictor: dict[str, Any] = {
        # In the pods' template, for whoever looks at a pod, and for Prometheus.
        "annotations": {
            "slipway/artifact-sha256": manifest.artifact_sha256,
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(recipe.metrics.port),
            "prometheus.io/path": recipe.metrics.path,
        },
        "minReplicas": 1,
        "maxReplicas": MAX_REPLICAS,
        "scaleMetric": "concurrency",
        "scaleTarget": TARGET_CONCURRENCY,
        "timeout": TIMEOUT_S,
    }
    if canary_percent is not None:
        predictor["canaryTrafficPercent"] = canary_percent
    predictor["containers"] = [_container(recipe, storage_uri(base, manifest))]
    predictor["volumes"] = _volumes(recipe)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": service_name(manifest.model, manifest.path),
            "labels": {"app.kubernetes.io/managed-by": "slipway"},
            "annotations": {
                # This mode splits the traffic of a canary; the default of KServe since 0.17 does not.
                "serving.kserve.io/deploymentMode": "Knative",
                "slipway/artifact": f"{manifest.model} {manifest.path}:{manifest.variant}",
                "slipway/signature": json.dumps(manifest.signature, separators=(",", ":")),
            },
        },
        "spec": {"predictor": predictor},
    }


def _container(recipe: ContainerRecipe, uri: str) -> dict[str, Any]:
    rest = next(port for port in recipe.ports.values() if port.scheme == "http")
    container: dict[str, Any] = {"name": CONTAINER, "image": tagged(recipe.image)}
    if recipe.entrypoint:
        container["command"] = list(recipe.entrypoint)
    return container | {
        "args": [*recipe.command, *([recipe.secret.argument] if recipe.secret else [])],
        # KServe copies the payload to /mnt/models before the container starts.
        "env": [_named("STORAGE_URI", uri), *(_named(*pair) for pair in recipe.env.items())],
        # Knative accepts only one port.
        "ports": [{"name": "http1", "containerPort": rest.inside, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "1", "memory": recipe.memory},
            "limits": {"cpu": "2", "memory": "2Gi"},
        },
        "startupProbe": _probe(recipe, periodSeconds=5, failureThreshold=STARTUP_S // 5),
        "readinessProbe": _probe(recipe, periodSeconds=5, failureThreshold=3),
        # Only a connection, which the kernel accepts for a busy server: to restart it would add to its load.
        "livenessProbe": {
            "tcpSocket": {"port": rest.inside},
            "timeoutSeconds": 10,
            "periodSeconds": 20,
            "failureThreshold": 3,
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": int(USER.partition(":")[0]),
            "runAsGroup": int(USER.partition(":")[2]),
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": _mounts(recipe),
    }


def _named(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


def _probe(recipe: ContainerRecipe, **times: int) -> dict[str, Any]:
    probe = recipe.probe
    if isinstance(probe, HttpProbe):
        asked: dict[str, Any] = {"httpGet": {"path": probe.path, "port": probe.port}}
    else:
        asked = {"exec": {"command": list(probe.words)}}
    return {**asked, "timeoutSeconds": 10, **times}


def _mounts(recipe: ContainerRecipe) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {"name": f"memory-{number}", "mountPath": place} for number, place in enumerate(recipe.tmpfs)
    ]
    if recipe.secret:
        mounts.append({"name": "key", "mountPath": recipe.secret.mounted_at, "readOnly": True})
    return mounts


def _volumes(recipe: ContainerRecipe) -> list[dict[str, Any]]:
    """Return the volumes: all writable ones are in memory, as large as the tmpfs of a container here."""
    volumes: list[dict[str, Any]] = [
        {"name": f"memory-{number}", "emptyDir": {"medium": "Memory", "sizeLimit": _size_limit(options)}}
        for number, options in enumerate(recipe.tmpfs.values())
    ]
    if recipe.secret:
        key = recipe.secret.key
        volumes.append(
            {"name": "key", "secret": {"secretName": recipe.secret.name, "items": [{"key": key, "path": key}]}}
        )
    return volumes


def _size_limit(options: str) -> str:
    """Convert the ``size=64m,...`` of a mount to Kubernetes' notation: 64Mi."""
    size = re.search(r"size=(\d+)([mg])", options)
    if size is None:
        raise ValueError(f"a tmpfs needs a size in megabytes or gigabytes. Received: {options!r}")
    return f"{size[1]}{size[2].upper()}i"

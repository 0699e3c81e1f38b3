"""The InferenceServices: what the command writes, held against the models of KServe's own SDK."""

from __future__ import annotations

import os
import re
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.artifacts.kserve import _size_limit, service_name
from pipelines.commands.manifests import as_yaml
from pipelines.paths import PATHS, path_module

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "deploy" / "kserve"
SERVED = [name for name in PATHS if path_module(name).CARD.container]
NAMES = [f"{path}{suffix}.yaml" for path in SERVED for suffix in ("", "-canary")]
IMAGES = ("TF_SERVING_IMAGE", "TORCHSERVE_IMAGE", "OPEN_INFERENCE_IMAGE")
SCALARS: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "object": object,
    "ResourceQuantity": str,
}


class Unfit(Exception):
    """A manifest that the SDK's models do not have."""


def sdk_model(name: str) -> type:
    """A class of KServe's models, or of Kubernetes' where KServe refers to it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import kserve.models
        from kubernetes import client
    found = getattr(kserve.models, name, None) or getattr(client, name, None)
    assert found is not None, f"neither SDK has {name}"
    return found


def checked(kind: str, value: Any, where: str) -> Any:
    """``value`` as an object of the SDK's model ``kind``. Raises Unfit for what the model does not know or take."""
    if nested := re.fullmatch(r"[lL]ist\[(.*)\]", kind):
        if not isinstance(value, list):
            raise Unfit(f"{where} is no list")
        return [checked(nested[1], one, f"{where}[{index}]") for index, one in enumerate(value)]
    if nested := re.fullmatch(r"[dD]ict[(\[]str, (.*)[)\]]", kind):
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise Unfit(f"{where} is no map")
        return {key: checked(nested[1], one, f"{where}.{key}") for key, one in value.items()}
    if kind in SCALARS:
        if not isinstance(value, SCALARS[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise Unfit(f"{where} is no {kind}: {value!r}")
        return value
    if kind in ("IntOrString", "IntstrIntOrString"):
        return value
    model: Any = sdk_model(kind)
    if not isinstance(value, dict):
        raise Unfit(f"{where} is no {kind}")
    attributes = {key: attribute for attribute, key in model.attribute_map.items()}
    for key in value:
        if key not in attributes:
            raise Unfit(f"{where} has an unknown key {key!r}; {kind} has {sorted(attributes)}")
    made = {
        attributes[key]: checked(model.openapi_types[attributes[key]], one, f"{where}.{key}")
        for key, one in value.items()
    }
    try:
        return model(**made)  # which checks what is required, and the ranges
    except ValueError as error:
        raise Unfit(f"{where}: {error}") from error


def fits(manifest: dict[str, Any]) -> Any:
    return checked("V1beta1InferenceService", manifest, "manifest")


@pytest.fixture(scope="module")
def packaged(cli: Any, trained: Any) -> dict[str, Any]:
    """What the command writes for everything that is packaged; without the caller's choice of images."""
    two = [f"{path}:{variant}" for path in SERVED for variant in list(path_module(path).CARD.variants)[:2]]
    cli.json("package", "mnist_cnn", *two)  # one, and another for the canary
    ours = {name: value for name, value in os.environ.items() if name not in IMAGES}
    done = cli("manifests", "mnist_cnn", env=ours)
    assert done.returncode == 0, done.stderr
    folder = cli.workspace / "deploy" / "kserve"
    assert sorted(done.stdout.split()) == sorted(str(folder / name) for name in NAMES)
    return {name: (folder / name).read_text() for name in NAMES}


def without_hashes(text: str) -> str:
    """Leave out hashes: the same training gives the same weights only on the same kind of processor."""
    return re.sub(r"\b[0-9a-f]{24}\b", "KEY", re.sub(r"\b[0-9a-f]{64}\b", "SHA256", text))


def test_the_committed_examples_are_what_the_command_writes(packaged: dict[str, str]) -> None:
    assert {file.name for file in EXAMPLES.glob("*.yaml")} == set(NAMES)
    for name, text in packaged.items():
        assert without_hashes((EXAMPLES / name).read_text()) == without_hashes(text), f"run: slipway manifests ({name})"


@pytest.mark.parametrize("name", NAMES)
class TestEveryExample:
    def read(self, name: str) -> Any:
        return yaml.safe_load((EXAMPLES / name).read_text())

    def test_every_field_is_one_of_kserves(self, name: str) -> None:
        service = fits(self.read(name))
        assert (service.api_version, service.kind) == ("serving.kserve.io/v1beta1", "InferenceService")

    def test_it_serves_one_artifact_and_asks_for_the_model_itself(self, name: str) -> None:
        service = fits(self.read(name))
        (container,) = service.spec.predictor.containers
        environment = {one.name: one.value for one in container.env}
        path = name.removesuffix(".yaml").removesuffix("-canary")
        variant = list(path_module(path).CARD.variants)[name.endswith("-canary.yaml")]
        assert re.fullmatch(r"pvc://slipway-artifacts/\.store/[0-9a-f]{24}/payload", environment["STORAGE_URI"])
        assert service.metadata.annotations["slipway/artifact"] == f"mnist_cnn {path}:{variant}"
        assert len(container.ports) == 1  # more, Knative refuses
        for probe in (container.startup_probe, container.readiness_probe):
            asked = probe._exec.command if probe._exec else [probe.http_get.path]
            assert any("mnist_cnn" in word for word in asked)
            if probe.http_get:
                assert probe.http_get.port == container.ports[0].container_port

    def test_it_has_time_to_start_and_a_busy_server_is_left_alone(self, name: str) -> None:
        """A probe that asks for the model fails when the server is overloaded: it takes requests away, no more."""
        (container,) = fits(self.read(name)).spec.predictor.containers
        startup, liveness = container.startup_probe, container.liveness_probe
        assert startup.period_seconds * startup.failure_threshold >= 600
        assert liveness.initial_delay_seconds is None
        assert liveness._exec is liveness.http_get is None
        assert liveness.tcp_socket.port == container.ports[0].container_port

    def test_prometheus_is_told_where_the_metrics_are(self, name: str) -> None:
        predictor = fits(self.read(name)).spec.predictor
        said = predictor.annotations
        path = name.removesuffix(".yaml").removesuffix("-canary")
        assert said["prometheus.io/scrape"] == "true"
        assert (int(said["prometheus.io/port"]), said["prometheus.io/path"]) == {
            "tf-serving": (8501, "/monitoring/prometheus/metrics"),
            "torchserve": (8082, "/metrics"),
            "onnxruntime": (8080, "/metrics"),
        }[path]

    def test_its_image_has_a_tag(self, name: str) -> None:
        (container,) = fits(self.read(name)).spec.predictor.containers
        assert re.search(r":v?\d+(\.\d+)+$", container.image)

    def test_it_may_do_nothing_but_serve(self, name: str) -> None:
        service = fits(self.read(name))
        (container,) = service.spec.predictor.containers
        may = container.security_context
        assert may.run_as_non_root
        assert may.read_only_root_filesystem
        assert may.allow_privilege_escalation is False
        assert may.run_as_user >= 10000
        assert may.capabilities.drop == ["ALL"]
        assert {"cpu", "memory"} == set(container.resources.limits) == set(container.resources.requests)
        # Every mount has its volume; what can be written to is memory with a limit.
        volumes = {volume.name: volume for volume in service.spec.predictor.volumes}
        assert {mount.name for mount in container.volume_mounts} == set(volumes)
        for mount in container.volume_mounts:
            assert mount.read_only or volumes[mount.name].empty_dir.size_limit

    def test_it_scales_and_a_canary_gets_a_share(self, name: str) -> None:
        manifest = self.read(name)
        predictor = fits(manifest).spec.predictor
        assert 1 <= predictor.min_replicas < predictor.max_replicas
        assert predictor.scale_metric == "concurrency"
        assert predictor.scale_target >= 1
        canary = name.endswith("-canary.yaml")
        assert predictor.canary_traffic_percent == (10 if canary else None)
        if canary:  # the next version of the same service
            stable = self.read(name.replace("-canary", ""))
            assert manifest["metadata"]["name"] == stable["metadata"]["name"]
            assert manifest["spec"] != stable["spec"]


def test_what_kserve_does_not_have_is_found() -> None:
    """Tests the check itself: each of these is a mistake that a cluster would refuse or, worse, ignore."""

    def broken(change: Callable[[Any], None]) -> str:
        manifest = yaml.safe_load((EXAMPLES / "tf-serving.yaml").read_text())
        change(manifest)
        with pytest.raises(Unfit) as caught:
            fits(manifest)
        return str(caught.value)

    def predictor(manifest: Any) -> Any:
        return manifest["spec"]["predictor"]

    def container(manifest: Any) -> Any:
        return predictor(manifest)["containers"][0]

    assert "'minReplica'" in broken(lambda m: predictor(m).update(minReplica=1))
    assert "'readinesProbe'" in broken(lambda m: container(m).update(readinesProbe={}))
    assert "'runAsNonroot'" in broken(lambda m: container(m)["securityContext"].update(runAsNonroot=True))
    assert "no int" in broken(lambda m: predictor(m).update(maxReplicas="3"))
    assert "no int" in broken(lambda m: predictor(m).update(minReplicas=True))
    assert "no str" in broken(lambda m: container(m)["resources"]["limits"].update(cpu=2))
    assert "no list" in broken(lambda m: container(m).update(args="--port=1"))
    assert "no V1Probe" in broken(lambda m: container(m).update(livenessProbe="none"))
    assert "Field required" in broken(lambda m: container(m).pop("name"))


class TestCommand:
    def test_what_is_not_packaged_is_said(self, fresh_cli: Any) -> None:
        done = fresh_cli("manifests", "mnist_cnn")
        assert done.returncode == 2
        assert done.stderr == (
            "slipway: no packaged artifact of mnist_cnn has a server. Run: slipway package mnist_cnn\n"
        )

    @pytest.mark.parametrize("uri", ["artifacts", "ftp://a/b", "s3://", "s3:///a", "pvc://a b", ""])
    def test_a_storage_that_is_no_uri_is_refused(self, fresh_cli: Any, uri: str) -> None:
        done = fresh_cli("manifests", "mnist_cnn", "--storage", uri)
        assert done.returncode == 2
        assert f"--storage takes a URI such as pvc://slipway-artifacts or s3://BUCKET/FOLDER. Received: {uri!r}" in (
            done.stderr
        )

    def test_an_unknown_model_is_refused(self, fresh_cli: Any) -> None:
        done: subprocess.CompletedProcess[str] = fresh_cli("manifests", "mnist")
        assert done.returncode == 2
        assert "Did you mean mnist_cnn?" in done.stderr

    @pytest.mark.usefixtures("packaged")
    def test_images_and_storage_are_the_users(self, cli: Any, tmp_path: Path) -> None:
        words = ("manifests", "mnist_cnn", "--output", str(tmp_path / "k"), "--storage", "s3://b/models/", "--json")
        done = cli(*words, env={**os.environ, "TORCHSERVE_IMAGE": "registry.invalid/torchserve:7"})
        assert done.returncode == 0, done.stderr
        assert not (cli.workspace / "k").exists()
        manifest = yaml.safe_load((tmp_path / "k" / "torchserve.yaml").read_text())
        (container,) = manifest["spec"]["predictor"]["containers"]
        assert container["image"] == "registry.invalid/torchserve:7"
        key = (cli.workspace / "artifacts" / "mnist_cnn" / "torchserve" / "export").readlink().name
        assert container["env"][0]["value"] == f"s3://b/models/.store/{key}/payload"
        fits(manifest)

    @pytest.mark.usefixtures("packaged")
    @pytest.mark.parametrize("image", ["registry.invalid:5000/torchserve", "registry.invalid/torchserve:latest"])
    def test_an_image_without_a_version_is_refused(self, cli: Any, image: str) -> None:
        done = cli("manifests", "mnist_cnn", env={**os.environ, "TORCHSERVE_IMAGE": image})
        assert done.returncode == 2
        assert "TORCHSERVE_IMAGE must name an image with a tag other than latest" in done.stderr
        assert done.stderr.endswith(f"Received: {image}\n")

    @pytest.mark.usefixtures("packaged")
    def test_an_output_that_is_a_file_is_refused(self, cli: Any, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        done = cli("manifests", "mnist_cnn", "--output", str(tmp_path / "file" / "below"))
        assert done.returncode == 2
        assert "--output takes a folder" in done.stderr


def test_names_are_dns_labels() -> None:
    assert service_name("mnist_cnn", "tf-serving") == "mnist-cnn-tf-serving"
    assert len(service_name("m" * 80, "p")) == 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", service_name("_A.b_" * 12, "p"))


def test_amounts_of_memory() -> None:
    assert _size_limit("size=512m,mode=0700") == "512Mi"
    assert _size_limit("mode=1777,size=2g") == "2Gi"
    with pytest.raises(ValueError, match="needs a size"):
        _size_limit("mode=1777")


def test_a_script_stays_readable() -> None:
    content = {"command": ["bash", "-c", "one\ntwo\n"], "plain": "x"}
    text = as_yaml("m", content)
    assert "- |\n  one\n  two\n" in text
    assert yaml.safe_load(text) == content

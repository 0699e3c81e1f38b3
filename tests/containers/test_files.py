"""docker-compose.yml and its images: what must hold for every server, and TorchServe in its container."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from models.trained import TrainedModel
from pipelines.paths import torchserve
from serving.clients import Target, client
from serving.clients.transport import Refused, send
from serving.launch import LaunchRequest, free_port, free_ports, serve
from serving.tf_serving.recipe import recipe as tf_serving_recipe

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILES = [ROOT / "serving" / name / "Dockerfile" for name in ("torchserve", "tf_serving", "open_inference")]
STAND_IN = "slipway/tf-serving"
PROTOCOLS = ("torchserve-rest", "torchserve-grpc")


def default(text: str) -> str:
    """``text`` with the default of each ``${VARIABLE:-default}`` in its place."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def instructions(dockerfile: Path) -> str:
    """A Dockerfile without its comments, one instruction a line."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    return "\n".join(lines).replace("\\\n", " ")


# -- What is written there ------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
class TestEveryService:
    def test_is_not_root_and_cannot_become_it(self, name: str) -> None:
        user, group = map(int, SERVICES[name]["user"].split(":"))
        assert user >= 10000
        assert group >= 10000
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
        assert not {"cap_add", "privileged", "network_mode", "pid", "ipc", "devices"} & set(SERVICES[name])

    def test_writes_to_memory_only(self, name: str) -> None:
        assert SERVICES[name]["read_only"] is True
        assert all("size=" in mount for mount in SERVICES[name]["tmpfs"])
        (mount,) = SERVICES[name]["volumes"]
        assert mount["read_only"] is True
        assert mount["target"] == "/artifacts"
        assert default(mount["source"]) == "./artifacts"  # the whole of it: what is below links into .store

    def test_is_reached_from_this_machine_only(self, name: str) -> None:
        ports = [default(port) for port in SERVICES[name]["ports"]]
        assert len(ports) == 2
        assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)

    def test_has_limits(self, name: str) -> None:
        service = SERVICES[name]
        assert float(default(service["cpus"])) == 2
        assert default(service["mem_limit"]) == default(service["memswap_limit"]) == "2g"
        assert service["pids_limit"] == 512
        assert service["stop_grace_period"] == "30s"
        assert service["logging"]["options"]["max-size"] == "10m"

    def test_is_healthy_only_when_asked(self, name: str) -> None:
        check = SERVICES[name]["healthcheck"]
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} < set(check)
        assert "start_interval" not in check  # engines before 25 refuse it

    def test_has_a_pinned_image(self, name: str) -> None:
        service = SERVICES[name]
        if "build" in service:
            assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]) in DOCKERFILES
        else:
            assert re.search(r":\d+\.\d+\.\d+$", default(service["image"]))


def test_no_two_services_publish_the_same_port() -> None:
    ports = [default(port).split(":")[1] for service in SERVICES.values() for port in service["ports"]]
    assert sorted(ports) == ["7070", "8080", "8500", "8501"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: file.parent.name)
class TestEveryDockerfile:
    def test_starts_from_a_pinned_image_and_ends_as_a_user(self, dockerfile: Path) -> None:
        text = instructions(dockerfile)
        assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == ["python:3.11-slim-bookworm"]
        assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]

    def test_installs_nothing_but_versions_of_the_constraints(self, dockerfile: Path) -> None:
        (command,) = re.findall(r"pip install (.*)$", instructions(dockerfile), re.MULTILINE)
        words = command.split()
        assert words[words.index("--constraint") + 1] == "/build/constraints.txt"
        assert words[words.index("--find-links") + 1] == "/build/wheelhouse"
        pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
        packages = words[words.index("/build/wheelhouse") + 1 :]
        assert packages
        assert set(packages) <= pinned

    def test_is_understood_by_old_engines_and_names_no_host(self, dockerfile: Path) -> None:
        text = dockerfile.read_text()
        assert not re.search(r"^# *syntax|<<|--link|https?://|index-url", text, re.MULTILINE)

    def test_copies_neither_models_nor_the_pipeline_nor_artifacts(self, dockerfile: Path) -> None:
        copied = re.findall(r"^COPY (.*) \S+$", instructions(dockerfile), re.MULTILINE)
        assert all(source.startswith("serving/") for line in copied for source in line.split())


def test_wheels_of_the_wheelhouse_are_not_committed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    ignored = subprocess.run(["git", "check-ignore", "-q", "wheelhouse/torch.whl"], cwd=ROOT, check=False)
    assert ignored.returncode == 0
    kept = subprocess.run(["git", "check-ignore", "-q", "wheelhouse/.gitkeep"], cwd=ROOT, check=False)
    assert kept.returncode == 1
    assert (ROOT / "wheelhouse" / ".gitkeep").exists()


# -- What the containers run, here ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["serve", "--model_name=m", "--model_store=/nowhere"], 2, "slipway package m torchserve"),
        (["serve", "--model_name=m"], 2, "--model_store=FOLDER"),
        (["ready"], 2, "--model_name=NAME"),
        (["ready", "--model_name=m", "--management_port=1"], 1, "not there yet"),
        (["token"], 1, "no keys yet"),
    ],
)
def test_a_mistake_in_torchserves_command_is_one_line(words: list[str], code: int, says: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving.torchserve", *words, f"--workdir={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_tf_servings_health_check_knows_when_the_model_can_predict(cli: Any, tmp_path: Path) -> None:
    """The very script of docker-compose.yml, with other ports, against the embedded server."""
    cli.json("package", "mnist_cnn", "tf-serving:fp32")
    payload = cli.workspace / "artifacts" / "mnist_cnn" / "tf-serving" / "fp32" / "payload"
    request = LaunchRequest("mnist_cnn", payload, tmp_path, *free_ports(2))

    def healthy(model: str, rest_port: int = request.rest_port, grpc_port: int = request.grpc_port) -> bool:
        words = SERVICES["tf-serving"]["healthcheck"]["test"][1:]
        words[-1] = words[-1].replace("$$", "$").replace("/8501", f"/{rest_port}").replace("/8500", f"/{grpc_port}")
        done = subprocess.run(words, env={**os.environ, "MODEL_NAME": model}, timeout=20, check=False)
        return done.returncode == 0

    assert not healthy("mnist_cnn")
    with serve(tf_serving_recipe(request), tmp_path):
        assert healthy("mnist_cnn")
        assert not healthy("another")
        assert not healthy("mnist_cnn", grpc_port=free_port())
        assert not healthy("mnist_cnn", rest_port=request.grpc_port)


# -- With an engine -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> None:
    """Skips where no Docker engine with compose v2 answers."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    for words in (["docker", "version"], ["docker", "compose", "version"]):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            pytest.skip(f"{' '.join(words)}: {done.stderr.strip()}")


@dataclass(frozen=True, slots=True)
class Compose:
    """``docker compose`` for one project of the tests' own."""

    folder: Path
    project: str
    env: dict[str, str]

    def __call__(self, *words: str, code: int | None = 0, timeout_s: float = 60) -> str:
        """What it prints. ``code`` is the exit code that it must have; None for any but 0."""
        # Nothing of the user's own settings, from the environment or a file .env.
        ours = ("SLIPWAY_", "TF_SERVING_", "TORCHSERVE_", "COMPOSE_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        done = subprocess.run(
            ["docker", "compose", "--env-file", os.devnull, "--project-name", self.project, *words],
            cwd=self.folder,
            env={**inherited, **self.env},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        as_wanted = done.returncode != 0 if code is None else done.returncode == code
        assert as_wanted, f"{words}: exit code {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=True).stdout.strip()


@pytest.mark.docker
@pytest.mark.parametrize("variables", [{}, {"TF_SERVING_IMAGE": STAND_IN}], ids=["default", "stand-in"])
def test_compose_accepts_the_file(engine: None, variables: dict[str, str]) -> None:
    compose = Compose(ROOT, "slipway-test-config", variables)
    compose("config", "-q")
    images = compose("config", "--images").split()
    assert sorted(images) == sorted(
        [variables.get("TF_SERVING_IMAGE", "tensorflow/serving:2.20.0"), "slipway/torchserve"]
    )


def local_wheels() -> Iterator[Path]:
    """Wheels of torch in the folders that this machine's pip is set up to look into."""
    settings = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for folders in re.findall(r"\.find-links='(.*)'", settings):
        for folder in filter(os.path.isdir, folders.split()):
            yield from Path(folder).glob("torch-*.whl")


@pytest.fixture
def compose(engine: None, cli: Any, tmp_path: Path) -> Iterator[Compose]:
    """The repository's compose file in a copy with this machine's wheels; its image is removed afterwards."""
    for name in ("docker-compose.yml", ".dockerignore", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "serving", tmp_path / "serving", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "wheelhouse").mkdir()
    for wheel in {wheel.name: wheel for wheel in local_wheels()}.values():
        shutil.copy(wheel, tmp_path / "wheelhouse")
    project = f"slipway-test-{os.getpid()}"
    image = f"{project}/torchserve"
    rest, grpc = free_ports(2)
    environment = {
        "SLIPWAY_ARTIFACTS": str(cli.workspace / "artifacts"),
        "TORCHSERVE_IMAGE": image,
        "TORCHSERVE_REST_PORT": str(rest),
        "TORCHSERVE_GRPC_PORT": str(grpc),
    }
    compose = Compose(tmp_path, project, environment)
    try:
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "5")
        if docker("image", "ls", "-q", image):
            docker("image", "rm", image)


@pytest.mark.docker
@pytest.mark.timeout(900)  # about a minute with a local wheel of torch; minutes where its CUDA build is downloaded
def test_torchserve_in_its_container(compose: Compose, cli: Any, trained: TrainedModel) -> None:
    cli.json("package", "mnist_cnn", "torchserve:export")
    compose("build", "torchserve", timeout_s=700)
    compose("up", "--wait", "--wait-timeout", "120", "torchserve", timeout_s=150)

    # Over both protocols the answers are those of this process; without the key there are none.
    inputs = {"image": trained.evaluation().inputs["image"][:3]}
    payload = cli.workspace / "artifacts" / "mnist_cnn" / "torchserve" / "export" / "payload"
    expected = torchserve.load(payload, 1)(inputs)["logits"]
    token = compose("exec", "-T", "torchserve", "python", "-m", "serving.torchserve", "token").strip()
    urls = (
        f"http://127.0.0.1:{compose.env['TORCHSERVE_REST_PORT']}",
        f"grpc://127.0.0.1:{compose.env['TORCHSERVE_GRPC_PORT']}",
    )
    for protocol, url in zip(PROTOCOLS, urls, strict=True):
        codec, target = client(protocol), Target(url, "mnist_cnn", {"logits": "float32"}, token)
        answer = codec.decode(target, send(codec.call(target), codec.encode(target, inputs)))["logits"]
        assert np.abs(answer - expected).max() < 1e-5
        nobody = Target(url, "mnist_cnn", {"logits": "float32"})
        with pytest.raises(Refused):
            send(codec.call(nobody), codec.encode(nobody, inputs))
    assert token not in compose("logs", "torchserve")

    # Not root, no capabilities, nothing to write to but the memory it was given.
    def inside(command: str, code: int | None = 0) -> str:
        return compose("exec", "-T", "torchserve", "sh", "-c", command, code=code).strip()

    assert inside("id -u") == inside("id -g") == "10001"
    status = inside("cat /proc/1/status")
    assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    for place in ("/", "/opt/slipway", "/artifacts", "/tmp"):  # noqa: S108 - not used, refused
        inside(f"touch {place}/probe", code=None)
    inside("touch /run/torchserve/probe")
    inside("python -m serving.torchserve ready --model_name=mnist_cnn")
    inside("python -m serving.torchserve ready --model_name=another", code=None)
    (container,) = json.loads(docker("inspect", compose("ps", "-q", "torchserve").strip()))
    published = [
        binding["HostIp"] for ports in container["NetworkSettings"]["Ports"].values() for binding in ports or []
    ]
    assert published == ["127.0.0.1", "127.0.0.1"]
    assert container["HostConfig"]["Memory"] == 2 * 2**30
    assert container["HostConfig"]["PidsLimit"] == 512

    # SIGTERM is enough, and `down` leaves nothing.
    compose("stop", "torchserve")
    assert docker("inspect", "-f", "{{.State.ExitCode}}", container["Id"]) == "143"
    compose("down", "--volumes")
    ours = f"label=com.docker.compose.project={compose.project}"
    assert docker("ps", "--all", "--quiet", "--filter", ours) == ""
    assert docker("volume", "ls", "--quiet", "--filter", ours) == ""
    assert docker("network", "ls", "--quiet", "--filter", ours) == ""

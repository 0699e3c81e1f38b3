"""Checks docker-compose.yml, the Dockerfiles and their neighbours: rules for each of them, and lint."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.open_inference.runtimes import RUNTIMES, runtime

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ASKS = ("slipway", "load", "web")
ONCE = ("build", "rollout", "keys", "ready", "check", "slipway", "load")
SERVERS = tuple(name for name in SERVICES if name not in ONCE)
PUBLISHED = {
    "tf-serving": ["8501", "8500"],
    "gateway": ["8080", "7070"],
    "open-inference": ["8000", "8001"],
    "prometheus": ["9090"],
    "web": ["8888"],
    "check": ["8501", "8500", "8080", "7070", "8000", "8001", "8888"],
}
DOCKERFILES = sorted([ROOT / "Dockerfile", *(ROOT / "serving").glob("*/Dockerfile")])
WITH_PIP = [file for file in DOCKERFILES if "pip install" in file.read_text()]
STAND_INS = {"TF_SERVING_IMAGE": "slipway/tf-serving", "PROMETHEUS_IMAGE": "slipway/prometheus"}
BIN = Path(sys.executable).parent


def default(text: str) -> str:
    """``text`` with the default of each ``${VARIABLE:-default}`` in its place."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def instructions(dockerfile: Path) -> str:
    """A Dockerfile without its comments, one instruction a line."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", " ")


@pytest.mark.parametrize("name", SERVICES)
class TestEveryService:
    def test_is_not_root_and_cannot_become_it(self, name: str) -> None:
        user, group = map(int, default(SERVICES[name]["user"]).split(":"))
        if name in ASKS:  # it becomes the owner of ./reports before it does anything
            assert (user, group) == (0, 0)
            assert SERVICES[name]["cap_add"] == ["SETUID", "SETGID"]
            assert SERVICES[name]["entrypoint"][2].startswith('exec setpriv --reuid "$$(stat -c %u reports)"')
        else:
            assert min(user, group) >= 10000
            assert "cap_add" not in SERVICES[name]
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
        assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & set(SERVICES[name])

    def test_writes_to_memory_and_to_what_is_its_own(self, name: str) -> None:
        assert SERVICES[name]["read_only"] is True
        assert all("size=" in mount for mount in SERVICES[name]["tmpfs"])
        writable = [mount["source"] for mount in SERVICES[name].get("volumes", []) if not mount.get("read_only")]
        own = {"build": ["artifacts"], "rollout": ["artifacts"], "keys": ["keys"], "prometheus": ["prometheus"]}
        own |= {name: ["./reports"] for name in ASKS}
        assert writable == own.get(name, [])
        assert all("docker.sock" not in str(mount) for mount in SERVICES[name].get("volumes", []))

    def test_is_reached_from_this_machine_only(self, name: str) -> None:
        ports = [default(port) for port in SERVICES[name].get("ports", [])]
        assert [port.split(":")[1] for port in ports] == PUBLISHED.get(name, [])
        assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)

    def test_has_limits(self, name: str) -> None:
        service = SERVICES[name]
        limits = {"gateway": "512m", "build": "4g", "ready": "32m"}
        assert float(default(service["cpus"])) == 2
        assert default(service["mem_limit"]) == default(service["memswap_limit"]) == limits.get(name, "2g")
        assert service["pids_limit"] == 512
        assert service["stop_grace_period"] == "30s"
        assert service["init"] is True
        assert service["logging"]["options"]["max-size"] == "10m"
        assert service["restart"] == ("no" if name in ONCE else "unless-stopped")

    def test_what_serves_is_healthy_only_when_asked(self, name: str) -> None:
        if name in ONCE:
            assert "healthcheck" not in SERVICES[name]
            return
        check = SERVICES[name]["healthcheck"]
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} < set(check)
        assert "start_interval" not in check  # engines before 25 refuse it

    def test_is_built_here_or_pulled_in_one_version(self, name: str) -> None:
        service = SERVICES[name]
        if "extends" not in service:
            # A stranger may register the name: it is never pulled.
            if name == "check":
                assert service["image"] == "python:3.11-slim-bookworm"  # the base of all, which is pulled
                return
            if name in (*ASKS, "ready", "rollout", "keys"):
                assert service["image"] == SERVICES["torchserve" if name == "keys" else "build"]["image"]
                assert service["pull_policy"] == "never"
                assert "build" not in service  # the same image under another label would leave one without a name
                return
            assert service["pull_policy"] == "build"
            assert (ROOT / service["build"].get("dockerfile", "Dockerfile")) in DOCKERFILES
            return
        folder = (ROOT / default(service["extends"]["file"].split("$")[0])).parent
        pulled = yaml.safe_load((folder / "image.yml").read_text())["services"][name]
        assert pulled["pull_policy"] == "missing"
        assert re.search(r":v?\d+\.\d+\.\d+$", pulled["image"])
        assert pulled["build"]["args"] == {
            "IMAGE": pulled["image"]
        }  # which the Dockerfile refuses, and says what to do
        built = yaml.safe_load((folder / "image.set.yml").read_text())["services"][name]
        assert default(built["pull_policy"]) == "build"
        assert folder / "Dockerfile" in DOCKERFILES

    def test_starts_after_the_build_where_it_reads_artifacts(self, name: str) -> None:
        if name in ("tf-serving", "torchserve", "open-inference"):
            assert SERVICES[name]["depends_on"]["build"] == {"condition": "service_completed_successfully"}


def test_every_dockerfile_is_built_by_one_service() -> None:
    built = [service["build"] for service in SERVICES.values() if "build" in service]
    built += [
        yaml.safe_load((ROOT / "serving" / name / "image.set.yml").read_text())["services"][service]["build"]
        for name, service in (("tf_serving", "tf-serving"), ("prometheus", "prometheus"))
    ]
    names = sorted(one.get("dockerfile", "Dockerfile") for one in built)
    assert names == sorted(str(file.relative_to(ROOT)) for file in DOCKERFILES)


def test_no_network_has_a_way_out() -> None:
    """A published port needs a bridge that is not internal: this one has no NAT, so that nobody answers."""
    assert COMPOSE["networks"] == {
        "published": {"driver_opts": {"com.docker.network.bridge.enable_ip_masquerade": "false"}},
        "inside": {"internal": True},
    }
    assert all(SERVICES[name]["networks"] for name in SERVICES)
    with_ports = {name for name in SERVICES if "ports" in SERVICES[name]}
    reached = {name for name in SERVICES if "published" in SERVICES[name]["networks"]}
    assert reached == with_ports | {*ASKS, "rollout"}


def test_the_first_to_check_and_the_last_to_speak_know_all_servers() -> None:
    servers = ("tf-serving", "gateway", "open-inference")
    ports = [port.rpartition(":")[0] for name in servers for port in SERVICES[name]["ports"]]
    assert [port.rpartition(":")[0] for port in SERVICES["check"]["ports"]] == [*ports, "127.0.0.1:${WEB_PORT:-8888}"]
    assert SERVICES["web"]["depends_on"] == {"ready": {"condition": "service_started"}}
    ready = SERVICES["ready"]
    assert ready["depends_on"] == {name: {"condition": "service_healthy"} for name in servers}
    (said,) = ready["command"]
    assert all(f"://{port}" in said for port in ports)
    assert SERVICES["gateway"]["depends_on"] == {"torchserve": {"condition": "service_healthy"}}


def test_the_example_of_settings_has_every_variable_with_its_default() -> None:
    files = [ROOT / "docker-compose.yml", *(ROOT / "serving").glob("*/image*.yml")]
    used = [found for file in files for found in re.findall(r"(?<!\$)\$\{(\w+)(?::?[-+]([^}]*))?\}", file.read_text())]
    defaults = {name: value for name, value in used if value and value != ".set"}
    shown = dict(re.findall(r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert shown == {name: defaults.get(name, "") for name, _ in used}


def test_no_service_is_merged_from_more_than_two_others() -> None:
    """To know a service, a reader looks at `hardened` and at one other place."""
    text = (ROOT / "docker-compose.yml").read_text().partition("\nvolumes:\n")[0]
    blocks = re.split(r"^(?=x-|  \w)", text, flags=re.MULTILINE)
    merged = {block.split(":")[0].strip(): re.findall(r"^ +<<: \*(\w+)$", block, re.MULTILINE) for block in blocks}
    assert merged["x-client"] == ["hardened"]
    for name, service in SERVICES.items():
        first = [one for one in merged[name] if one != "health"]
        assert first == (["client"] if name in ASKS else ["hardened"])
        assert name not in ASKS or "extends" not in service


def test_the_key_of_torchserve_is_a_secret_and_the_repository_has_none() -> None:
    secret = COMPOSE["secrets"]["torchserve-key"]["file"]
    assert (ROOT / default(secret)).read_bytes() == b""
    assert {name for name in SERVICES if SERVICES[name].get("secrets")} == {"torchserve", *ASKS}
    readers = {name for name in SERVICES if "keys" in {m["source"] for m in SERVICES[name].get("volumes", [])}}
    assert readers == {"keys", "torchserve", *ASKS}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: file.parent.name)
class TestEveryDockerfile:
    def test_starts_from_a_pinned_image_and_ends_as_a_user(self, dockerfile: Path) -> None:
        text = instructions(dockerfile)
        bases = {line.split()[0] for line in re.findall(r"^FROM (.*)$", text, re.MULTILINE)}
        assert bases == {"python:3.11-slim-bookworm"}
        user = "65534:65534" if dockerfile.parent.name == "prometheus" else "10001:10001"
        assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == [user]

    def test_is_understood_by_old_engines_and_names_no_host(self, dockerfile: Path) -> None:
        text = dockerfile.read_text()
        assert not re.search(r"^# *syntax|<<|--link|https?://|index-url", text, re.MULTILINE)

    def test_its_name_is_no_reason_to_install_anything_anew(self, dockerfile: Path) -> None:
        """An argument is part of the key of each step after it: only one that says what to install may precede it."""
        stages = re.split(r"^FROM ", instructions(dockerfile), flags=re.MULTILINE)
        named = [re.findall(r"ARG (\w+)", stage) for stage in stages if " install " in stage]
        assert {name for names in named for name in names} <= {"RUNTIME"}

    def test_compiles_what_it_copies_after_what_it_installs(self, dockerfile: Path) -> None:
        text = instructions(dockerfile)
        copied = re.search(r"^COPY (?!--from)(?!.*/java )", text, re.MULTILINE)
        if copied:
            assert "compileall" in text[copied.start() :]
            assert text.index("--constraint") < copied.start()

    def test_copies_neither_artifacts_nor_keys(self, dockerfile: Path) -> None:
        lines = re.findall(r"^COPY (?!--from)(.*) \S+$", instructions(dockerfile), re.MULTILINE)
        allowed = r"serving(/.*)?"
        if dockerfile.parent == ROOT:
            allowed = r"serving|models|pipelines|pyproject\.toml|README\.md|LICENSE"
        assert all(re.fullmatch(allowed, source) for line in lines for source in line.split())

    def test_hadolint_is_content(self, dockerfile: Path) -> None:
        done = subprocess.run([BIN / "hadolint", dockerfile], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("dockerfile", WITH_PIP, ids=lambda file: file.parent.name)
def test_nothing_is_installed_but_versions_of_the_constraints(dockerfile: Path) -> None:
    (command,) = re.findall(r"pip install (.*--find-links.*)$", instructions(dockerfile), re.MULTILINE)
    words = command.partition("&&")[0].split()
    assert words[words.index("--constraint") + 1] == "/build/constraints.txt"
    assert words[words.index("--find-links") + 1] == "/build/wheelhouse"
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    packages = set(words[words.index("/build/wheelhouse") + 1 :])
    assert packages
    if '"$@"' in packages:
        packages = packages - {'"$@"'} | {each for chosen in by_runtime(dockerfile).values() for each in chosen}
    assert {package.lower() for package in packages} <= pinned


def by_runtime(dockerfile: Path) -> dict[str, tuple[str, ...]]:
    """Runtime -> the packages that a Dockerfile installs for it."""
    found = re.findall(r"([\w-]+)\) +set -- ([^;]+) ;;", instructions(dockerfile))
    return {name: tuple(packages.split()) for name, packages in found}


def test_every_runtime_has_an_image_with_its_packages() -> None:
    dockerfile = ROOT / "serving" / "open_inference" / "Dockerfile"
    assert by_runtime(dockerfile) == {name: runtime(name).DISTRIBUTIONS for name in RUNTIMES}
    assert "ARG RUNTIME=onnxruntime\n" in dockerfile.read_text()


def test_slipways_image_has_its_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {
        *project["dependencies"],
        *(each for name in ("models", "tf-serving", "torchserve", "onnxruntime", "web") for each in extras[name]),
    }
    wanted = {re.split(r"[;<>=\[ ]", each)[0] for each in wanted}
    (command,) = re.findall(r"pip install (.*--find-links.*)$", instructions(ROOT / "Dockerfile"), re.MULTILINE)
    assert wanted <= set(command.split())


def test_wheels_and_reports_are_not_committed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    for name, ignored in (
        ("wheelhouse/torch.whl", 0),
        ("wheelhouse/.gitkeep", 1),
        ("reports/m", 0),
        ("reports/.gitkeep", 1),
    ):
        done = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False)
        assert done.returncode == ignored, name
    assert (ROOT / "wheelhouse" / ".gitkeep").exists()
    assert (ROOT / "reports" / ".gitkeep").exists()


def test_the_dashboard_shows_what_the_rules_record() -> None:
    rules = yaml.safe_load((ROOT / "serving/prometheus/rules.yml").read_text())["groups"][0]["rules"]
    recorded = {rule["record"] for rule in rules}
    assert {(rule["record"][-3:], rule["labels"]["server"]) for rule in rules if "latency" in rule["record"]} == {
        (percentile, server)
        for percentile in ("p50", "p99")
        for server in ("tf-serving", "torchserve", "open-inference")
    }
    dashboard = json.loads((ROOT / "serving/prometheus/grafana/dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    used = {name for query in queries for name in re.findall(r"slipway:[\w:]+", query)}
    assert used == recorded


# -- With an engine -------------------------------------------------------------------------------


def config(*words: str, variables: dict[str, str], settings: Path = Path(os.devnull)) -> str:
    """Return the output of ``docker compose config``, without this machine's settings."""
    ours = ("SLIPWAY_", "TF_SERVING_", "TORCHSERVE_", "OPEN_INFERENCE_", "GATEWAY_", "PROMETHEUS_", "COMPOSE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        ["docker", "compose", "--env-file", settings, "--profile", "*", "config", *words],
        cwd=ROOT,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.docker
@pytest.mark.usefixtures("engine")
def test_the_example_of_settings_changes_nothing(tmp_path: Path) -> None:
    whole = tmp_path / "env"
    whole.write_text(re.sub(r"^#(?=\w+=)", "", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    assert config(variables={}, settings=whole) == config(variables={})


@pytest.mark.docker
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("variables", [{}, STAND_INS], ids=["default", "stand-in"])
class TestConfig:
    def test_one_variable_takes_the_stand_in(self, variables: dict[str, str]) -> None:
        services = json.loads(config("--format", "json", variables=variables))["services"]
        defaults = {"tf-serving": "tensorflow/serving:2.20.0", "prometheus": "prom/prometheus:v3.5.0"}
        for name, variable in (("tf-serving", "TF_SERVING_IMAGE"), ("prometheus", "PROMETHEUS_IMAGE")):
            assert services[name]["image"] == variables.get(variable, defaults[name])
            assert services[name]["pull_policy"] == ("build" if variables else "missing")
        own = {name: service["image"] for name, service in services.items() if name not in (*defaults, "check")}
        assert set(own.values()) == {
            f"slipway/{name}" for name in ("slipway", "torchserve", "gateway", "open-inference")
        }

    def test_replicas_are_a_setting_that_no_other_command_takes_back(self, variables: dict[str, str]) -> None:
        for count in (1, 2):
            wanted = {"TORCHSERVE_REPLICAS": str(count)} if count > 1 else {}
            services = json.loads(config("--format", "json", variables={**variables, **wanted}))["services"]
            assert services["torchserve"]["deploy"]["replicas"] == count

    def test_compose_lint_is_content(self, variables: dict[str, str], tmp_path: Path) -> None:
        merged = tmp_path / "docker-compose.yml"
        merged.write_text(config(variables=variables))
        words = ["check", "--fail-on", "low", "--strict-config", "--skip-suppressed"]
        command = [BIN / "compose-lint", *words, "--config", ROOT / ".compose-lint.yml", merged]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.docker
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("words", [["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]])
def test_promtool_is_content(compose: Any, words: list[str]) -> None:
    mount = f"{compose.folder / 'serving' / 'prometheus'}:/config:ro"
    image = compose.env["PROMETHEUS_IMAGE"]
    command = [
        "docker",
        "run",
        "--rm",
        "--network=none",
        "-v",
        mount,
        "-w",
        "/config",
        "--entrypoint",
        "promtool",
        image,
    ]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "SUCCESS" in done.stdout


@pytest.mark.docker
@pytest.mark.timeout(1800)
def test_a_stand_in_never_bears_the_originals_name(compose: Any) -> None:
    for service, variable, original in (
        ("tf-serving", "TF_SERVING_IMAGE", "mirror.example/tensorflow/serving:2.20.0"),
        ("prometheus", "PROMETHEUS_IMAGE", "prom/prometheus:v3.5.0"),
    ):
        wrong = type(compose)(compose.folder, compose.project, {**compose.env, variable: original})
        done = wrong.run("--profile", "monitor", "build", service)
        assert done.returncode != 0
        assert f"{variable.removesuffix('IMAGE')}PULL_POLICY=missing" in done.stdout + done.stderr


@pytest.mark.docker
@pytest.mark.timeout(1800)
def test_without_a_registry_the_error_names_the_variable(compose: Any, tmp_path: Path) -> None:
    """The file for Google's image, with a registry that nobody has: compose pulls in vain."""
    override = tmp_path / "no-registry.yml"
    for service, image, variable in (
        ("tf-serving", "registry.invalid/tensorflow/serving:2.20.0", "TF_SERVING_IMAGE=slipway/tf-serving"),
        ("prometheus", "registry.invalid/prom/prometheus:v3.5.0", "PROMETHEUS_IMAGE=slipway/prometheus"),
    ):
        override.write_text(json.dumps({"services": {service: {"image": image, "build": {"args": {"IMAGE": image}}}}}))
        originals = {name: value for name, value in compose.env.items() if not variable.startswith(name)}
        alone = type(compose)(compose.folder, compose.project, originals)
        done = alone.run("-f", "docker-compose.yml", "-f", str(override), "create", "--no-recreate", service)
        assert done.returncode != 0
        assert variable in done.stderr.splitlines()[-1], done.stderr

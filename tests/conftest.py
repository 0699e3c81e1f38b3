"""Fixtures that the whole suite shares; slow things are made once."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

with suppress(ModuleNotFoundError):
    # Comes with PyTorch's CUDA build. The product never has it and TensorFlow in one process, but the tests
    # do, and loaded after TensorFlow its LLVM crashes: so it is loaded first.
    import triton  # noqa: F401

from models import trained as trained_models
from models.trained import TrainedModel

HERE = Path(__file__).parent
# Tests are no packages (importlib mode): this is how they find the modules that they share.
sys.path.append(str(HERE))
from lacking import MUST_RUN  # noqa: E402

# On a busy machine, an example takes as long as it takes: neither its time nor that of making it up is judged.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

SLIPWAY = [sys.executable, "-m", "pipelines"]

SESSION = "SLIPWAY_TEST_SESSION"
os.environ[SESSION] = uuid.uuid4().hex
# What npm and pip fetch for paths is fetched once, whatever the workspace; the folder's name covers what it holds.
os.environ.setdefault("SLIPWAY_ENVIRONMENTS", str(HERE.parent / "artifacts" / ".environments"))


class Cli:
    """The commands, as a user runs them: in a process of their own, in one workspace."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def __call__(self, *words: str, timeout_s: float = 480.0, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [*SLIPWAY, "--workspace", str(self.workspace), *words]
        options = {"capture_output": True, "text": True, **options}
        return subprocess.run(command, timeout=timeout_s, check=False, **options)

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command and leave it running; the caller ends it."""
        command = [*SLIPWAY, "--workspace", str(self.workspace), *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def json(self, *words: str, code: int = 0, timeout_s: float = 480.0) -> Any:
        """What the command prints with ``--json``, after checking its exit code."""
        done = self(*words, "--json", timeout_s=timeout_s)
        assert done.returncode == code, f"{words}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Commands in a workspace that the whole session shares: what one test builds, the next finds."""
    return Cli(tmp_path_factory.mktemp("workspace"))


@pytest.fixture
def fresh_cli(tmp_path: Path) -> Cli:
    """Commands in an empty workspace."""
    return Cli(tmp_path / "workspace")


@pytest.fixture(scope="session")
def trained(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """mnist_cnn, trained as the product trains it (about 20 s), by one worker for all."""
    folder = cli.workspace / "artifacts" / "mnist_cnn" / "trained"
    if os.environ.get("PYTEST_XDIST_WORKER") and not folder.exists():
        common = Cli(tmp_path_factory.getbasetemp().parent / "trained")
        common.json("train", "mnist_cnn")  # who comes second waits at the store's lock
        shutil.copytree(common.workspace / "artifacts", cli.workspace / "artifacts", symlinks=True, dirs_exist_ok=True)
    cli.json("train", "mnist_cnn")
    return trained_models.load(folder)


@pytest.fixture(scope="session")
def packaged_tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Any], Path]:
    """Packages a tiny model in this process, each variant once: several tests look at the same payload."""
    from tiny_models import TINY

    from pipelines.paths import path_module

    made: dict[tuple[str, str], Path] = {}

    def package(name: str, choice: Any) -> Path:
        if (name, choice.name) not in made:
            payload = tmp_path_factory.mktemp("tiny")
            path_module(choice.card.name).package(TINY[name], payload, choice.variant)
            made[name, choice.name] = payload
        return made[name, choice.name]

    return package


@pytest.fixture(scope="session")
def packaged_once(trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Packages the trained model as ``PATH:VARIANT`` in this process, each once: nobody changes the payload."""
    from pipelines.paths import path_module

    made: dict[str, Path] = {}

    def package(name: str) -> Path:
        if name not in made:
            payload = tmp_path_factory.mktemp("payload")
            path, _, variant = name.partition(":")
            path_module(path).package(trained, payload, variant)
            made[name] = payload
        return made[name]

    return package


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Small model files of every kind, made by their frameworks (about 20 s)."""
    from model_files import make

    return make(tmp_path_factory.mktemp("model_files"))


@pytest.fixture(scope="session")
def ipv6_loopback() -> str:
    """The address ::1; tests that need it are skipped on a machine that has none."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    return "::1"


@pytest.fixture
def nothing_left() -> Iterator[Callable[[], list[str]]]:
    """Checks that no process that the test started is alive afterwards; lists those that are."""
    before = {process.pid for process in psutil.process_iter()}

    def left() -> list[str]:
        found = []
        for process in psutil.process_iter():
            try:
                # Inherited by whatever a test starts, so that other work on the machine is told apart.
                ours = process.environ().get(SESSION) == os.environ[SESSION]
                if process.pid not in before and ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    yield left
    psutil.wait_procs([p for p in psutil.process_iter() if p.pid not in before and p.ppid() == os.getpid()], timeout=5)
    assert left() == []


DOCKER = (
    "containers/",
    "pipelines/measure/test_container.py",
    "serving/container/",
    "test_docs.py::test_the_commands_f",
)
"""Where the tests are that need the engine: one worker runs them all, so that every image is built once."""
TOGETHER = {"pipelines/holds": "pipelines/paths"}
"""Folders whose tests share what another folder's make."""
FIRST = (
    *("docker", "test_docs.py", "pipelines/claims", "pipelines/run", "pipelines/paths", "pipelines/run/own"),
    *("serving/torchserve", "serving/open_inference", "pipelines/report"),
)
"""Groups of tests that take longest, in the order in which they begin: then none of them is left for the end."""

NOTED_S = 30.0
"""Groups that took so many seconds are named at the end of a run."""


def group_of(nodeid: str) -> str:
    """Name the group of a test: all tests of a folder share its fixtures, so that one worker runs them."""
    place = nodeid.removeprefix("tests/")
    file = place.partition("::")[0]
    folder = "docker" if place.startswith(DOCKER) else file.rpartition("/")[0] or file
    return TOGETHER.get(folder, folder)


class ByGroup(LoadScopeScheduling):
    """Gives each group of tests to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGroup:
    return ByGroup(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(group_of(item.nodeid), len(order)))
    elsewhere = [
        item.nodeid for item in items if item.get_closest_marker("docker") and group_of(item.nodeid) != "docker"
    ]
    assert elsewhere == [], "DOCKER does not name them"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what the groups of tests took, with what set them up: who wants to save time sees where it goes."""
    took: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                took[group_of(report.nodeid)] += report.duration
    said = [f"{group} {seconds / 60:.1f}" for group, seconds in took.most_common() if seconds >= NOTED_S]
    if said:
        terminalreporter.section("minutes of each group")
        terminalreporter.write_line(", ".join(said))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Turns a skip into a failure, for tests that carry a marker named in SLIPWAY_TESTS_MUST_RUN."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and MUST_RUN & {marker.name for marker in item.iter_markers()}:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped where it must run: {report.longrepr}"


# -- Containers -----------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def docker_client() -> Iterator[Any]:
    """A client of the Docker engine; skips where none answers."""
    from serving.container.engine import EngineMissing, connect

    try:
        client = connect()
    except EngineMissing as error:
        pytest.skip(str(error))
    yield client
    client.close()


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of a clone of the repository, with the wheels of torch that this machine's pip is set up to find.

    All images of a session are built from it: layers that are the same are built once.
    """
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    settings = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for places in re.findall(r"\.find-links='(.*)'", settings):
        for wheel in (wheel for place in places.split() for wheel in Path(place).glob("torch-*.whl")):
            shutil.copy(wheel, folder / "wheelhouse")
    # The user who cloned it has any number; the tests may run as root.
    if os.getuid() == 0:
        os.chown(folder / "reports", 1234, 4321)
    return folder


@pytest.fixture(scope="session")
def built_image(docker_client: Any, clone: Path) -> Iterator[Callable[..., str]]:
    """Builds the image of a folder below ``serving``, as the product does, once and under a name of the tests' own.

    More words are arguments of the build, as ``NAME=VALUE``.
    """
    from serving.container import image

    said: dict[str, list[str]] = {}

    def build(folder: str, *arguments: str) -> str:
        values = [argument.partition("=")[2] for argument in arguments]
        name = f"slipway-built-{os.getpid()}/{'-'.join([folder.replace('_', '-'), *values])}"
        if name not in said:
            said[name] = []
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(image, "ROOT", clone)
                wanted = image.Image(name, "NO_VARIABLE", f"serving/{folder}/Dockerfile", arguments)
                found = image.ensure(docker_client, wanted, said[name].append)
            assert found.size_bytes > 100e6
            assert said[name][0] == f"building {name}"
            assert any("RUN" in line for line in said[name])  # its progress was shown
        return name

    yield build
    for name in said:
        docker_client.images.remove(name, noprune=True)


@pytest.fixture
def no_container_left(
    docker_client: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], list[str]]]:
    """Checks that no container with a model of this test session is left after the test; lists those that are."""
    from serving.container import ownership

    base = str(tmp_path_factory.getbasetemp().resolve())  # not those of other work on this machine

    def left() -> list[str]:
        mine = {"label": f"{ownership.MACHINE}={ownership.machine()}"}
        found = docker_client.containers.list(all=True, filters=mine, ignore_removed=True)
        return [one.name for one in found if any(mount["Source"].startswith(base) for mount in one.attrs["Mounts"])]

    yield left
    assert left() == []

"""Containers without starting one: recipes, advice, amounts, images, owners, the probe."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from serving.container import engine, image, ownership
from serving.container.engine import EngineMissing, connect
from serving.container.hardening import hardening
from serving.container.image import ImageMissing, ensure
from serving.container.probe import speaks_http2
from serving.container.recipe import CannotStart, Image, image_of
from serving.extras import install_command
from serving.launch import LOOPBACK, LaunchError, LaunchRequest, free_port
from serving.open_inference import container as open_inference
from serving.tf_serving import container as tf_serving
from serving.torchserve import container as torchserve

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SERVERS = {"tf-serving": tf_serving, "torchserve": torchserve, "open-inference": open_inference}


@pytest.fixture
def request_(tmp_path: Path) -> LaunchRequest:
    model = tmp_path / "payload" / "m" / "model.onnx"  # by its ending, one of these servers chooses its runtime
    model.parent.mkdir(parents=True)
    model.touch()
    return LaunchRequest("m", tmp_path / "payload", tmp_path, 1111, 2222, threads=3)


class TestRecipes:
    @pytest.mark.parametrize("name", SERVERS)
    def test_each_publishes_both_protocols_and_mounts_its_model(self, name: str, request_: LaunchRequest) -> None:
        made = SERVERS[name].container(request_)
        assert {(port.scheme, port.published) for port in made.ports.values()} == {("http", 1111), ("grpc", 2222)}
        assert made.host == LOOPBACK
        assert any("/mnt/models" in word for word in made.command)
        assert any(word.endswith("=3") for word in made.command)

    @pytest.mark.parametrize("name", SERVERS)
    def test_each_is_as_compose_has_it(self, name: str, request_: LaunchRequest) -> None:
        made, service = SERVERS[name].container(request_), COMPOSE[name]
        if "extends" in service:  # Google's image, unless the variable names another
            base = (ROOT / service["extends"]["file"].replace("${" + made.image.variable + ":+.set}", "")).read_text()
            assert yaml.safe_load(base)["services"][name]["image"] == made.image.name
        else:
            assert service["image"] == "${" + f"{made.image.variable}:-{made.image.name}" + "}"
        # The program; a container of slipway's own writes its settings first, compose mounts them.
        assert list(made.entrypoint or [])[-1:] == service.get("entrypoint", [])
        if "ports" in service:  # TorchServe's replicas are behind a gateway there
            assert {port.inside for port in made.ports.values()} == {
                int(port.rpartition(":")[2]) for port in service["ports"]
            }
        ours = hardening()
        for key in ("user", "read_only", "cap_drop", "security_opt", "init", "pids_limit"):
            assert service[key] == ours[key], key
        assert {place.partition(":")[0] for place in service["tmpfs"]} == set(made.tmpfs)

    def test_an_environment_variable_names_another_image(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert image_of("V", "own", "own", "D") == Image("own", "V", "D")
        assert image_of("V", "googles", "own", "D") == Image("googles", "V", None)
        monkeypatch.setenv("V", "own")
        assert image_of("V", "googles", "own", "D") == Image("own", "V", "D")
        monkeypatch.setenv("V", "theirs:2")
        assert image_of("V", "own", "own", "D") == Image("theirs:2", "V", None)

    def test_torchserves_token_is_awaited(self, request_: LaunchRequest) -> None:
        class Inside:
            def __init__(self, code: int, output: str) -> None:
                self.answer = code, output

            def run(self, *_words: str) -> tuple[int, str]:
                return self.answer

        made = torchserve.container(request_)
        assert made.token(Inside(0, "key\n")) == "key"
        assert made.ready(Inside(0, ""))
        assert not made.ready(Inside(1, ""))
        with pytest.raises(OSError, match="no key yet"):
            made.token(Inside(1, ""))


class TestEngine:
    def refusal(self, monkeypatch: pytest.MonkeyPatch, host: str) -> str:
        monkeypatch.setenv("DOCKER_HOST", host)
        with pytest.raises(EngineMissing) as caught:
            connect()
        assert "\n" not in str(caught.value)
        assert host in str(caught.value)
        return str(caught.value)

    def test_no_socket(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        said = self.refusal(monkeypatch, f"unix://{tmp_path}/none")
        assert "No such file or directory. Install Docker Engine" in said

    def test_nobody_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said = self.refusal(monkeypatch, f"tcp://127.0.0.1:{free_port()}")
        assert "Connection refused. Start the daemon" in said

    def test_a_socket_whose_daemon_is_down(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        place = tmp_path / "s"
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(place))
        assert "Start the daemon" in self.refusal(monkeypatch, f"unix://{place}")

    def test_no_address_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "Check DOCKER_HOST" in self.refusal(monkeypatch, "junk")

    def test_a_socket_that_is_not_ours_to_open(self) -> None:
        # Root may open every socket, so not every test run can cause the refusal itself.
        wrapped = RuntimeError("wrapped", OSError("again", PermissionError(13, "Permission denied")))
        assert engine._why(wrapped) == ("Permission denied", engine._ADVICE[0][1])
        assert "group docker" in engine._ADVICE[0][1]

    def test_no_sdk(self) -> None:
        code = (
            "import sys; sys.modules['docker'] = None\n"
            "from serving.container.engine import EngineMissing, connect\n"
            "try:\n    connect()\nexcept EngineMissing as error:\n    print(error)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
        assert install_command("containers") in done.stdout


class TestAmounts:
    @pytest.mark.parametrize(
        ("variable", "value"),
        [("SLIPWAY_MEMORY", "lots"), ("SLIPWAY_MEMORY", "0g"), ("SLIPWAY_CPUS", "two"), ("SLIPWAY_CPUS", "0")],
    )
    def test_what_is_none_is_refused(self, variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(CannotStart, match=f"{variable} takes .* Received: '{value}'"):
            hardening()

    def test_they_are_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLIPWAY_MEMORY", "512M")
        monkeypatch.setenv("SLIPWAY_CPUS", "0.5")
        assert hardening()["mem_limit"] == hardening()["memswap_limit"] == "512M"
        assert hardening()["nano_cpus"] == 500_000_000


class NoImages:
    """An engine that has no image."""

    @property
    def images(self) -> NoImages:
        return self

    def get(self, name: str) -> Any:
        from docker.errors import ImageNotFound

        raise ImageNotFound(f"no such image: {name}")


class TestImages:
    def test_without_the_repository_it_must_be_there_or_be_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(image, "ROOT", tmp_path)
        wanted = Image("slipway/torchserve", "TORCHSERVE_IMAGE", "serving/torchserve/Dockerfile")
        message = r"no repository to build it from.* set TORCHSERVE_IMAGE to another image\.$"
        with pytest.raises(ImageMissing, match=message):
            ensure(NoImages(), wanted, print)  # type: ignore[arg-type]

    def test_it_is_built_by_the_docker_command_which_may_be_missing(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        wanted = Image("slipway/torchserve", "TORCHSERVE_IMAGE", "serving/torchserve/Dockerfile")
        with pytest.raises(ImageMissing, match=r"the docker command is needed .* not on PATH"):
            ensure(NoImages(), wanted, lambda line: None)  # type: ignore[arg-type]  # noqa: ARG005

    def test_a_build_that_fails_shows_the_end_of_what_it_said(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        program = tmp_path / "docker"
        program.write_text("#!/bin/sh\necho '#5 [2/3] RUN pip install'\necho 'disk is full' >&2\nexit 7\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        said: list[str] = []
        wanted = Image("slipway/torchserve", "TORCHSERVE_IMAGE", "serving/torchserve/Dockerfile")
        with pytest.raises(LaunchError, match=r"could not be built \(exit code 7\); last lines:\n.*\ndisk is full"):
            ensure(NoImages(), wanted, said.append)  # type: ignore[arg-type]
        assert said == ["building slipway/torchserve", "building slipway/torchserve: [2/3] RUN pip install"]


class TestOwners:
    def test_this_process_is_there(self) -> None:
        mine = ownership.labels("s")
        assert not ownership.owner_is_gone(mine[ownership.OWNER])
        assert mine[ownership.SESSION] == "s"
        assert mine[ownership.MACHINE] == ownership.machine()

    def test_one_that_has_ended_is_gone(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        owner = f"{child.pid}:{psutil.Process(child.pid).create_time():.2f}"
        assert not ownership.owner_is_gone(owner)
        child.communicate()
        assert ownership.owner_is_gone(owner)

    def test_another_process_of_the_same_number_is_not_it(self) -> None:
        assert ownership.owner_is_gone(f"{os.getpid()}:{psutil.Process().create_time() - 3600:.2f}")

    def test_what_is_no_owner_is_left_alone(self) -> None:
        assert not ownership.owner_is_gone("somebody")


class TestProbe:
    def answer(self, text: bytes) -> bool:
        with socket.create_server((LOOPBACK, 0)) as listener:

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(text)

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                return speaks_http2(LOOPBACK, listener.getsockname()[1])
            finally:
                thread.join()

    def test_settings_are_http2s_word(self) -> None:
        assert self.answer(b"\0\0\0\x04\0\0\0\0\0")

    @pytest.mark.parametrize("text", [b"", b"\0\0", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
    def test_nothing_else_is(self, text: bytes) -> None:
        assert not self.answer(text)

    def test_a_real_grpc_server(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        import grpc

        server = grpc.server(ThreadPoolExecutor(1))
        port = server.add_insecure_port(f"{LOOPBACK}:0")
        server.start()
        try:
            assert speaks_http2(LOOPBACK, port)
        finally:
            server.stop(None).wait()

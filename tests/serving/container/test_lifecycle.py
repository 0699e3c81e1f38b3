"""Containers of the real engine: started, awaited, measured and removed, whatever ends them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from patience import wait_for

from serving.container import ownership
from serving.container.recipe import CannotStart, ContainerRecipe, ExecProbe, Image, Inside, Metrics, Port
from serving.container.server import ContainerServer, serve_container
from serving.launch import LOOPBACK, LaunchError, PortInUse, free_port

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("nothing_left", "no_container_left")]

BASE = "python:3.11-slim-bookworm"
LISTEN = (
    "import http.server, sys; print('listening', flush=True); "
    "http.server.ThreadingHTTPServer(('', 8000), http.server.SimpleHTTPRequestHandler).serve_forever()"
)


def says(_line: str) -> None:
    """Ignore progress messages of builds and pulls."""


def listening(inside: Inside) -> bool:
    program = "import socket; socket.create_connection(('127.0.0.1', 8000))"
    return inside.run("python3", "-c", program)[0] == 0


def never(_inside: Inside) -> bool:
    return False


def recipe(
    folder: Path, program: str = LISTEN, ready: Callable[[Inside], bool] = listening, port: int | None = None
) -> ContainerRecipe:
    return ContainerRecipe(
        server="a test server",
        image=Image(BASE, "NO_VARIABLE"),
        command=("python3", "-u", "-c", program),
        host=LOOPBACK,
        ports={"web": Port("http", 8000, port or free_port())},
        payload=folder,
        probe=ExecProbe(("true",)),
        metrics=Metrics(8000, "/metrics"),
        tmpfs={"/tmp": "size=16m,mode=1777"},  # noqa: S108 - in the container
        ready=ready,
    )


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    folder = tmp_path / "payload"
    folder.mkdir()
    (folder / "model").write_text("weights")
    return folder


def test_it_is_ready_measured_and_gone_after_the_block(
    payload: Path, tmp_path: Path, no_container_left: Callable[[], list[str]]
) -> None:
    wanted = recipe(payload)
    with serve_container(lambda: wanted, tmp_path, says) as server:
        assert server.running
        assert server.exit_text() == "running"
        assert server.ready_s is not None
        assert 0 < server.ready_s < 60
        assert server.first_answer() >= server.ready_s
        assert server.recipe.endpoints == {"web": f"http://127.0.0.1:{wanted.ports['web'].published}"}
        assert server.image.size_bytes > 50e6
        # Its processes are visible on this machine, so the figures are those of a bare process.
        assert server.root_pid() is not None
        assert server.usage().peak_rss_bytes > 5e6
        for _ in range(200):
            server.run("true")
        assert (server.proxy_cpu_s() or 0) >= 0
        assert re.fullmatch(r"http://[\d.]+:8000", server.direct_endpoints()["web"])
        assert no_container_left() == [server.name]
        wait_for(lambda: "listening" in server.log.read_text())
    assert no_container_left() == []


def test_it_may_do_nothing_but_serve(payload: Path, tmp_path: Path) -> None:
    with serve_container(lambda: recipe(payload), tmp_path, says) as server:

        def inside(command: str) -> tuple[int, str]:
            code, output = server.run("sh", "-c", command)
            return code, output.strip()

        assert inside("id -u; id -g") == (0, "10001\n10001")
        status = inside("cat /proc/1/status")[1]
        assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        assert inside("cat /mnt/models/model") == (0, "weights")
        for place in ("/", "/mnt/models", "/usr", "/var/tmp"):  # noqa: S108 - not used, refused
            assert inside(f"touch {place}/probe")[0] != 0, place
        assert inside("touch /tmp/probe")[0] == 0
        container = server._container
        container.reload()
        settings = container.attrs["HostConfig"]
        assert settings["Memory"] == settings["MemorySwap"] == 2 * 2**30
        assert settings["PidsLimit"] == 512
        assert settings["NanoCpus"] == min(2, os.cpu_count() or 2) * 10**9
        bound = [one["HostIp"] for each in container.attrs["NetworkSettings"]["Ports"].values() for one in each or []]
        assert bound == ["127.0.0.1"]


def test_it_is_removed_when_the_block_raises(payload: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), serve_container(lambda: recipe(payload), tmp_path, says):
        raise KeyboardInterrupt


def test_one_that_dies_while_starting_shows_its_log(payload: Path, tmp_path: Path) -> None:
    dying = recipe(payload, "print('no such model'); raise SystemExit(3)", ready=never)
    with (
        pytest.raises(LaunchError, match=r"a test server.* ended while starting \(exit code 3\).*\nno such model"),
        serve_container(lambda: dying, tmp_path, says),
    ):
        pass


def test_one_that_is_never_ready_is_removed(payload: Path, tmp_path: Path) -> None:
    idle = recipe(payload, "import time; time.sleep(600)", ready=never)
    with (
        pytest.raises(LaunchError, match="was not ready to predict within 1 s"),
        serve_container(lambda: idle, tmp_path, says, 1.0),
    ):
        pass


def test_too_little_memory_is_named(payload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_MEMORY", "16m")
    greedy = recipe(payload, "x = bytearray(200_000_000)", ready=never)
    with (
        pytest.raises(LaunchError, match="out of memory: raise SLIPWAY_MEMORY"),
        serve_container(lambda: greedy, tmp_path, says),
    ):
        pass


def test_a_published_port_that_is_taken_is_named(payload: Path, tmp_path: Path) -> None:
    with serve_container(lambda: recipe(payload), tmp_path, says) as server:
        taken = int(server.recipe.endpoints["web"].rpartition(":")[2])
        other = tmp_path / "other"
        other.mkdir()
        with (
            pytest.raises(PortInUse, match=r"a port cannot be published: .*Choose another"),
            serve_container(lambda: recipe(payload, port=taken), other, says),
        ):
            pass


def test_an_amount_that_the_engine_refuses_is_its_word(
    payload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_CPUS", "4096")
    with pytest.raises(CannotStart, match="Range of CPUs"), serve_container(lambda: recipe(payload), tmp_path, says):
        pass


def test_one_that_somebody_else_removes_is_noticed(payload: Path, tmp_path: Path, docker_client: Any) -> None:
    with serve_container(lambda: recipe(payload), tmp_path, says) as server:
        docker_client.containers.get(server.name).remove(force=True)
        assert not server.running
        assert server.exit_text() == "removed by another program"
        server.wait()


PARENT = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from test_lifecycle import recipe, says
from serving.container.server import serve_container
with serve_container(lambda: recipe(Path(sys.argv[1])), Path(sys.argv[2]), says) as server:
    print(server.name, server._guard.pid, flush=True)
    server.wait()
"""


def started(payload: Path, workdir: Path) -> tuple[subprocess.Popen[str], str, int]:
    """A process that holds a container, the container's name and its guard."""
    folders = [str(Path(__file__).parents[up]) for up in (0, 2)]  # of this module, and of those that it imports
    words: Sequence[str] = [sys.executable, "-c", PARENT, str(payload), str(workdir), *folders]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    name, guard = parent.stdout.readline().split()
    parent.stdout.close()
    return parent, name, int(guard)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_it_is_gone_when_its_owner_is_ended(
    number: int, payload: Path, tmp_path: Path, no_container_left: Callable[[], list[str]]
) -> None:
    parent, name, guard = started(payload, tmp_path)
    assert no_container_left() == [name]
    parent.send_signal(number)
    parent.wait(30)
    wait_for(lambda: no_container_left() == [] and not psutil.pid_exists(guard))


def test_where_its_guard_was_killed_too_the_next_one_removes_it(
    payload: Path, tmp_path: Path, no_container_left: Callable[[], list[str]], docker_client: Any
) -> None:
    parent, orphan, guard = started(payload, tmp_path)
    parent.send_signal(signal.SIGSTOP)  # so that it cannot notice the end of its guard
    os.kill(guard, signal.SIGKILL)
    parent.kill()
    parent.wait(30)
    assert no_container_left() == [orphan]
    other = tmp_path / "other"
    other.mkdir()
    with serve_container(lambda: recipe(payload), other, says) as server:
        assert no_container_left() == [server.name]
        assert ownership.reap(docker_client) == []  # containers with a living owner stay
        assert server.running


def test_a_server_is_one_that_can_be_asked_as_any_other() -> None:
    from serving.launch import Running

    assert issubclass(ContainerServer, Running)
    assert not ContainerServer.__abstractmethods__

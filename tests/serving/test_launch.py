"""Starting, awaiting and stopping servers: nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from patience import wait_for

from serving import guard
from serving.clients.transport import Unreachable
from serving.launch import (
    LOOPBACK,
    LaunchError,
    PortInUse,
    Recipe,
    Server,
    check_port,
    free_port,
    free_ports,
    log_tail,
    serve,
)

LISTEN = """
import socket, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""
IGNORE_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def recipe(program: str, *words: str, ready: Callable[[], bool] = lambda: True) -> Recipe:
    return Recipe("a test server", (sys.executable, "-u", "-c", program, *words), {}, ready)


def listening(port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True

    return ready


def child_of(log: Path) -> int:
    return int(log.read_text().split()[1])


@pytest.mark.parametrize("prelude", ["", IGNORE_SIGTERM], ids=["polite", "ignores SIGTERM"])
def test_a_server_and_its_children_are_gone_after_the_block(tmp_path: Path, prelude: str) -> None:
    port = free_port()
    server = Server(recipe(prelude + LISTEN, str(port), ready=listening(port)), tmp_path)
    try:
        seconds = server.wait_until_ready(20)
        assert 0 < seconds < 20
        child = child_of(server.log)
        assert psutil.pid_exists(child)
    finally:
        server.stop(grace_s=1.0)
    assert not psutil.pid_exists(server.pid)
    wait_for(lambda: not psutil.pid_exists(child))


def test_it_is_stopped_when_the_block_raises(tmp_path: Path) -> None:
    port = free_port()
    with (
        pytest.raises(KeyboardInterrupt),
        serve(recipe(LISTEN, str(port), ready=listening(port)), tmp_path, 20) as server,
    ):
        raise KeyboardInterrupt
    assert not psutil.pid_exists(server.pid)


def test_a_server_that_dies_while_starting_shows_its_log(tmp_path: Path) -> None:
    dying = recipe("print('no such model'); raise SystemExit(3)", ready=lambda: False)
    with (
        pytest.raises(LaunchError, match=r"a test server ended while starting \(exit code 3\).*\nno such model"),
        serve(dying, tmp_path, 20),
    ):
        pass


def test_a_server_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    def never() -> bool:
        raise Unreachable("nobody there")

    with (
        pytest.raises(LaunchError, match="was not ready to predict within 1 s; it wrote no log"),
        serve(recipe("import time; time.sleep(600)", ready=never), tmp_path, 1.0),
    ):
        pass


def test_an_error_of_ours_in_ready_is_not_taken_for_not_yet(tmp_path: Path) -> None:
    def broken() -> bool:
        raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"), serve(recipe("import time; time.sleep(9)", ready=broken), tmp_path):
        pass


def test_usage_counts_the_whole_tree(tmp_path: Path) -> None:
    burn = """
import subprocess, sys, time
program = "block = bytearray(100_000_000); block[::4096] = b'x' * len(block[::4096])\\nimport time\\n" \
    "end = time.process_time() + 0.3\\nwhile time.process_time() < end: pass\\n" \
    "print('burnt', flush=True)\\ntime.sleep(600)"
subprocess.Popen([sys.executable, "-c", program])
time.sleep(600)
"""
    with serve(recipe(burn), tmp_path) as server:
        wait_for(lambda: "burnt" in server.log.read_text())
        usage = server.usage()
    assert usage.cpu_s >= 0.3
    assert usage.peak_rss_bytes > 100_000_000


PARENT = f"""
import sys
from pathlib import Path
from serving.launch import Recipe, serve
listen = {LISTEN!r}
folder = Path(sys.argv[2])
started = lambda: (folder / "server.log").stat().st_size > 0
recipe = Recipe("s", (sys.executable, "-u", "-c", listen, sys.argv[1]), {{}}, started)
with serve(recipe, folder) as server:
    print(server.pid, flush=True)
    server.process.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_a_server_dies_with_a_killed_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(free_port()), str(tmp_path)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.stdout.close()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not psutil.pid_exists(pid))


def test_a_parent_that_died_before_the_tie_is_noticed() -> None:
    command = [sys.executable, guard.__file__, str(os.getpid() + 100_000), sys.executable, "-c", "print('ran')"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_ports() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        taken = listener.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {taken} of 127.0.0.1 cannot be used: Address already in use"):
            check_port(LOOPBACK, taken)
    assert check_port(LOOPBACK, taken) == taken
    with pytest.raises(PortInUse, match="not a port number"):
        check_port(LOOPBACK, 70_000)
    assert 1024 <= free_port() <= 65_535


def test_several_free_ports_differ_and_are_free_at_once() -> None:
    ports = free_ports(200)
    assert len(set(ports)) == 200
    assert not set(ports) & set(free_ports(200, besides=ports))
    assert [check_port(LOOPBACK, port) for port in ports[:20]] == list(ports[:20])


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log) == ""
    log.write_bytes(b"\n".join(b"line %d" % number for number in range(100_000)) + b"\n\xff\xfe")
    assert log_tail(log, 2).splitlines()[0] == "line 99999"

"""Generators on other hosts: two network namespaces, each with an SSH server and a monotonic clock of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import ssh_server

from pipelines.errors import SlipwayError, UserError
from pipelines.loadtest import hosts as hosts_module
from pipelines.loadtest.clocks import Offset
from pipelines.loadtest.frames import Channel, Frame, Lost
from pipelines.loadtest.hosts import Hosts, RemotePart, checked, told
from pipelines.loadtest.live import Glance
from pipelines.loadtest.parts import Told
from pipelines.loadtest.schedule import schedule_of
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.several import measure_together
from pipelines.loadtest.truth.start import Truth
from serving.launch import free_port

SETTINGS = LoadSettings("server", 1.0, 0.1, rate_per_s=200.0, seed=3)
LONG = replace(SETTINGS, duration_s=20.0)
CLOCKS_S = (5_000, 90_000)
"""How far the clocks of the two hosts are ahead of this one's."""
LIMIT_S = 30.0
README = Path(__file__).parents[3] / "README.md"


@dataclass(frozen=True)
class Network:
    """Two hosts ``load1`` and ``load2``, a server that both reach, and where the hosts put their files."""

    hosts: Hosts
    truth: Truth
    servers: list[subprocess.Popen[bytes]]
    files: Path


@contextmanager
def ssh_servers(names: list[str], addresses: list[str], keys: Path) -> Iterator[tuple[Hosts, list]]:
    """An SSH server in each namespace, its clock shifted where the kernel can."""
    ssh_server.make_keys(keys)
    files = keys / "files"
    files.mkdir()
    with ExitStack() as stack:
        running, places = [], {}
        for name, address, ahead_s, host in zip(names, addresses, CLOCKS_S, ("load1", "load2"), strict=True):
            inside = ["ip", "netns", "exec", name, "unshare", "--time", f"--monotonic={ahead_s}", "--fork"]
            serve = [sys.executable, ssh_server.__file__, address, str(keys)]
            process = subprocess.Popen(
                [*inside, "--kill-child", *serve],
                stdout=subprocess.PIPE,
                env=os.environ | {"TMPDIR": str(files)},
                start_new_session=True,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            assert process.stdout is not None
            stack.callback(process.stdout.close)
            port = process.stdout.readline().strip()
            if not port:
                pytest.skip("this machine allows no time namespaces")
            places[host] = (address, int(port))
            running.append(process)
        yield Hosts(("load1", "load2"), sys.executable, ssh_server.ssh_config(keys, places)), running


@pytest.fixture
def network(two_namespaces, start_truth, tmp_path_factory) -> Iterator[Network]:
    if shutil.which("ssh") is None:
        pytest.skip("OpenSSH's client is not installed")
    names, address = two_namespaces
    net = address.rpartition(".")[0]
    keys = tmp_path_factory.mktemp("ssh")
    with (
        ssh_servers(names, [f"{net}.2", f"{net}.6"], keys) as (hosts, servers),
        start_truth("http", address) as truth,
    ):
        yield Network(hosts, truth, servers, keys / "files")


def wait_until(condition) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def command_lines() -> str:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return "\n".join(found)


@pytest.mark.network
def test_two_hosts_are_one_test(network, bodies, tmp_path, nothing_left) -> None:
    """One schedule, one clock, one set of latencies; the token is in no file of a host and on no command line."""
    secret = "a-secret-token"  # noqa: S105 - made up
    glances: list[Glance] = []
    leaks: list[str] = []
    plans = 0

    def watch(_: float, glance: Glance | None) -> None:
        nonlocal plans
        if glance is None or glances:
            glances.extend([glance] if glance else [])
            return
        glances.append(glance)
        plans = len(list(network.files.glob("*/plan.json")))
        leaks.extend(str(file) for file in network.files.rglob("*") if file.is_file() and _holds(file, secret))
        leaks.extend([secret] if secret in command_lines() else [])

    call = network.truth.call("/echo/5", Authorization=f"Bearer {secret}")
    began = time.monotonic_ns()
    found, recording = measure_together(
        call, bodies, lambda i, answer: answer == bodies[i], SETTINGS, tmp_path, watch=watch, hosts=network.hosts
    )
    assert recording is not None, found.invalid_because
    assert (found.generators, found.errors, found.match_share) == (2, 0, 1.0)
    assert [part.host for part in found.parts] == ["load1", "load2"]
    assert sum(part.requests for part in found.parts) == found.requests
    bounds = [part.clock_bound_us or 0.0 for part in found.parts]
    assert all(0 < bound < 10_000 for bound in bounds)
    # The hosts' clocks are hours ahead: translated, every request is due when the schedule says.
    assert began < recording.intended[0] < time.monotonic_ns()
    schedule = schedule_of(SETTINGS)
    due = recording.intended - recording.start_ns
    wanted = schedule.offsets_ns[schedule.first :] - int(SETTINGS.warmup_s * 1e9)
    assert np.abs(due - wanted).max() <= 2e3 * sum(bounds)
    assert found.p50_ms is not None
    assert 5 <= found.p50_ms < 20
    assert any(glance.p99_ms is not None and glance.rate_per_s > 50 for glance in glances)
    assert plans == 2
    assert leaks == []
    assert list(network.files.iterdir()) == []


def _holds(file: Path, secret: str) -> bool:
    with suppress(OSError):  # gone meanwhile
        return secret.encode() in file.read_bytes()
    return False


@pytest.mark.network
def test_a_host_that_dies_costs_its_part(network, bodies, tmp_path, nothing_left) -> None:
    def watch(share: float, glance: Glance | None) -> None:
        if share > 0.3 and network.servers[1].poll() is None:
            network.servers[1].kill()
            network.servers[1].wait()

    settings = replace(SETTINGS, duration_s=2.0)
    found, recording = measure_together(
        network.truth.call("/echo"), bodies, lambda *_: True, settings, tmp_path, watch=watch, hosts=network.hosts
    )
    assert recording is not None
    assert not found.valid
    assert found.invalid_because is not None
    assert "the load generator on load2 is lost" in found.invalid_because
    assert found.parts[1].lost is not None
    assert found.parts[0].lost is None
    assert found.requests == found.parts[0].requests > 100
    wait_until(lambda: not list(network.files.iterdir()))  # also the host that lost its coordinator has cleaned up


@pytest.mark.network
def test_a_host_that_is_cut_off(network, two_namespaces, bodies, tmp_path, nothing_left) -> None:
    """No packet gets through: both sides notice the silence, and nothing is left running on either."""
    inside = ["ip", "netns", "exec", two_namespaces[0][1]]
    device = next(
        one["ifname"]
        for one in json.loads(subprocess.run([*inside, "ip", "-j", "link"], capture_output=True, check=True).stdout)
        if one["ifname"] != "lo"
    )
    down = False

    def watch(share: float, glance: Glance | None) -> None:
        nonlocal down
        if share > 0.2 and not down:
            down = True
            subprocess.run([*inside, "ip", "link", "set", device, "down"], check=True)

    try:
        found, recording = measure_together(
            network.truth.call("/echo"), bodies, lambda *_: True, SETTINGS, tmp_path, watch=watch, hosts=network.hosts
        )
        assert recording is not None
        assert "the load generator on load2 is lost" in str(found.invalid_because)
        assert found.parts[0].requests > 50
        wait_until(lambda: not list(network.files.iterdir()))
    finally:
        address = network.truth.url.rpartition(".")[0].partition("//")[2] + ".5"
        subprocess.run([*inside, "ip", "link", "set", device, "up"], check=True)
        subprocess.run([*inside, "ip", "route", "add", "default", "via", address], check=True)


def start_command(network: Network, body: Path, port: int) -> subprocess.Popen[str]:
    words = ["loadtest", "--url", network.truth.url + "/echo/2", "--body", str(body), "--rate", "100"]
    words += ["--duration", "20", "--prometheus-port", str(port), "--json", "--host", "load1", "--host", "load2"]
    words += ["--ssh-config", str(network.hosts.ssh_config), "--remote-python", sys.executable]
    command = [sys.executable, "-m", "pipelines", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, text=True, start_new_session=True)


def wait_for_metrics(port: int, process: subprocess.Popen[str]) -> str:
    """The metrics of a test under way, once there is a p99."""
    deadline = time.monotonic() + LIMIT_S
    text = ""
    while 'latency_seconds{quantile="0.99"}' not in text:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            time.sleep(0.05)
    return text


@pytest.mark.network
def test_the_command_and_its_interrupt(network, tmp_path, nothing_left) -> None:
    body, port = tmp_path / "body", free_port()
    body.write_bytes(b"a body")
    with start_command(network, body, port) as process:
        wait_for_metrics(port, process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, err
    found = json.loads(out)
    assert found["partial"]
    assert "interrupted" in found["invalid_because"]
    assert [part["host"] for part in found["parts"]] == ["load1", "load2"]
    assert all(part["requests"] > 0 and part["lost"] is None for part in found["parts"])
    assert list(network.files.iterdir()) == []


@pytest.mark.network
def test_the_command_of_the_readme(cli, network, tmp_path, nothing_left) -> None:
    (tmp_path / "request.json").write_text("{}")
    (line,) = re.findall(r"^(slipway loadtest --url.* --host .*)$", README.read_text(), re.MULTILINE)
    words = [re.sub(r"^http://.*", f"{network.truth.url}/echo/2", word) for word in shlex.split(line)[1:]]
    words += ["--ssh-config", str(network.hosts.ssh_config), "--remote-python", sys.executable]
    done = cli(*words, "--duration", "1", "--rate", "200", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr  # on a busy machine it may say that it is not valid
    for number, host in ((1, "load1"), (2, "me@load2")):
        assert re.search(rf"generator {number} of 2 on {host}: \d+ requests, 0 errors; .*clock known to", done.stdout)


@pytest.mark.network
def test_a_coordinator_that_is_killed_leaves_nothing(network, tmp_path, nothing_left) -> None:
    body, port = tmp_path / "body", free_port()
    body.write_bytes(b"a body")
    with start_command(network, body, port) as process:
        wait_for_metrics(port, process)
        assert "pipelines.loadtest.generator" in command_lines()
        process.kill()
        process.communicate()
    wait_until(lambda: not nothing_left() and not list(network.files.iterdir()))


@pytest.mark.network
def test_hosts_that_cannot_be_used(network, bodies, tmp_path, monkeypatch, nothing_left) -> None:
    call = network.truth.call("/echo")

    def refused(hosts: Hosts, name: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        with pytest.raises(SlipwayError) as error:
            measure_together(call, bodies, lambda *_: True, SETTINGS, folder, hosts=hosts)
        return str(error.value)

    text = refused(replace(network.hosts, python="/no/python"), "python")
    assert "no generator on the host " in text
    assert "/no/python: not found" in text
    text = refused(replace(network.hosts, names=("load1", "two.invalid")), "name")
    assert "on the host two.invalid: " in text
    assert "resolve" in text
    monkeypatch.setattr(hosts_module, "identity", lambda: {"version": "0.0", "code": "x"})
    assert "has another slipway" in refused(network.hosts, "version")
    wait_until(lambda: not nothing_left())  # the agents end when their connection does


def test_which_hosts_may_be_used(tmp_path) -> None:
    config = tmp_path / "config"
    config.write_text("Host near\n  HostName 10.1.2.3\nHost far\n  HostName 8.8.8.8\n")

    def of(*names: str) -> Hosts:
        return Hosts(names, ssh_config=config)

    assert checked(of("near", "me@near", "ssh://me@127.0.0.1:2222"), False).names[0] == "near"
    assert checked(of("far"), True).names == ("far",)
    with pytest.raises(UserError, match=r"8\.8\.8\.8.*--allow-remote"):
        checked(of("near", "far"), False)
    for name in ("-oProxyCommand=x", "a b", "", "a;b", "host\n", "a@-b", "$(x)"):
        with pytest.raises(UserError, match="not the name of a host"):
            checked(of(name), True)
    with pytest.raises(UserError, match="too many hosts"):
        checked(of(*["near"] * 65), False)


def test_how_a_part_ended_is_looked_at() -> None:
    offset = Offset(5, 2_000)
    ended = Frame("ended", {"lost": None, "governor": "performance", "steal_share": 0.5}, b"")
    assert told(ended, offset) == Told(None, 5, 2.0, "performance", 0.5)
    odd = Frame("ended", {"lost": {"a": "\x1b[2J"}, "governor": ["x"] * 1_000}, b"")
    assert told(odd, offset).lost == "{'a': '\\x1b[2J'}"
    assert len(told(odd, offset).governor or "") == 300
    for share in ("x", 2.0, float("nan"), [1]):
        with pytest.raises(Lost, match="cannot be"):
            told(Frame("ended", {"steal_share": share}, b""), offset)


@pytest.mark.parametrize("clock", [True, 1.5, -1, 10**30, "1", None])
def test_a_clock_that_is_none(tmp_path, clock: object) -> None:
    reading, writing = os.pipe()
    answers, silent = os.pipe()
    part = RemotePart("1 of 1", tmp_path, "far", Hosts(("far",)), 1.0)
    part._channel = Channel(reading, silent)
    Channel(reading, writing).send("clock", ns=clock)
    with pytest.raises(Lost, match="no clock"):
        part._clock()
    for one in (reading, writing, answers, silent):
        os.close(one)


def test_words_that_do_not_go_together(cli, http_truth, tmp_path) -> None:
    words = ["loadtest", "--url", http_truth.url + "/echo", "--rate", "50"]
    for more, text in (
        (["--host", "a"], "to a host, that address is itself"),
        (["--host", "a", "--generators", "2"], "--host has no use for --generators"),
        (["--ssh-config", "x"], "--ssh-config is of use with --host alone"),
    ):
        done = cli(*words, *more)
        assert (done.returncode, text in done.stderr) == (2, True), done.stderr

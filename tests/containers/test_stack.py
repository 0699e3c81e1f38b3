"""Runs `docker compose up` on a real engine: the answers of the servers, and the death of one of them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
import urllib.parse
import urllib.request
from typing import Any

import grpc
import pytest
from documents import COMMANDS, documented, label
from patience import until, wait_for
from under_load import KILL, under_load
from web_client import Visitor

from serving.clients import client
from serving.clients.transport import Refused

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

PROTOCOLS = (
    "tf-serving-rest",
    "tf-serving-grpc",
    "torchserve-rest",
    "torchserve-rest-binary",
    "torchserve-grpc",
    "open-inference-rest",
    "open-inference-rest-binary",
    "open-inference-grpc",
)
READY = "python -m serving.torchserve ready --host=0.0.0.0 --model_name=mnist_cnn"
KILL_WORKER = "for p in /proc/[0-9]*; do ! grep -qs [m]odel_service_worker $p/cmdline || kill -9 ${p#/proc/}; done"
SERVERS = ("tf-serving", "torchserve", "gateway", "open-inference", "prometheus")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("batch", [1, 16])
def test_published_answers_are_the_certified_ones(stack: Any, protocol: str, batch: int) -> None:
    answers = stack.answers(protocol)
    for index, inputs in enumerate(answers.inputs(batch)[:5]):
        assert answers.matches(batch, index, stack.ask(protocol, inputs))


@pytest.mark.parametrize("protocol", ["torchserve-rest", "torchserve-grpc"])
@pytest.mark.parametrize("key", ["", "wrong"])
def test_without_the_key_there_is_no_prediction(stack: Any, protocol: str, key: str) -> None:
    with pytest.raises(Refused, match="Token Authorization failed"):
        stack.ask(protocol, stack.answers(protocol).inputs(1)[0], key=key)


def test_the_key_is_long_random_and_in_no_log_or_setting(stack: Any) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", stack.key)
    exec_, *words = documented("docker compose exec torchserve python -m serving.torchserve token")[2:]
    assert stack.compose(exec_, "-T", *words).strip() == stack.key
    assert stack.compose.inside("torchserve", "stat -c '%a %u' /keys/torchserve") == "440 10001"
    assert stack.key not in stack.compose("logs")
    assert stack.key not in json.dumps(stack.compose.container("torchserve"))


def test_only_predictions_pass_the_gateway(stack: Any) -> None:
    base = stack.target("torchserve-rest").url
    for path in ("/models", "/models/mnist_cnn", "/metrics", "/api-description", "/predictions/../models", "/"):
        request = urllib.request.Request(f"{base}{path}", headers={"Authorization": f"Bearer {stack.key}"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code in (400, 404)
        refused.value.close()


@pytest.mark.parametrize("service", SERVERS)
def test_a_container_can_do_nothing_but_serve(stack: Any, service: str) -> None:
    inside, user = stack.compose.inside, 65534 if service == "prometheus" else 10001
    assert inside(service, "id -u") == inside(service, "id -g") == str(user)
    status = inside(service, "cat /proc/1/status")
    assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    for place in ("/", "/usr/local/bin", "/opt", "/etc"):
        assert "touch" in inside(service, f"touch {place}/probe 2>&1", code=None)
    inside(service, "touch /dev/shm/probe && rm /dev/shm/probe")  # memory is all there is
    host = stack.compose.container(service)["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert 0 < host["Memory"] == host["MemorySwap"] <= 2 * 2**30
    assert host["PidsLimit"] == 512
    assert host["NanoCpus"] == 2 * 10**9
    bindings = stack.compose.container(service)["NetworkSettings"]["Ports"].values()
    assert {binding["HostIp"] for ports in bindings for binding in ports or []} <= {"127.0.0.1"}


@pytest.mark.parametrize("service", ["tf-serving", "torchserve", "open-inference"])
def test_the_artifacts_are_read_only_for_servers(stack: Any, service: str) -> None:
    assert "Read-only" in stack.compose.inside(service, "touch /workspace/artifacts/probe 2>&1", code=None)


def test_torchserve_publishes_nothing_and_has_no_way_out(stack: Any) -> None:
    container = stack.compose.container("torchserve")
    assert not any(container["NetworkSettings"]["Ports"].values())
    (network,) = container["NetworkSettings"]["Networks"]
    described = stack.compose.run("config", "--format", "json").stdout
    assert json.loads(described)["networks"][network.rpartition("_")[2]]["internal"] is True


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("curl ")])
def test_a_request_of_the_documentation(stack: Any, command: str) -> None:
    ports = {"8501": "TF_SERVING_REST_PORT", "8000": "OPEN_INFERENCE_REST_PORT"}
    line = re.sub(r"(?<=:)\d{4}(?=/)", lambda port: stack.compose.env[ports[port[0]]], command)
    done = subprocess.run(
        shlex.split(line), cwd=stack.compose.folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert label(done.stdout) == 7


@pytest.mark.parametrize("path", ["tf-serving", "torchserve", "onnxruntime"])
def test_predict_from_inside(stack: Any, path: str) -> None:
    words = documented("docker compose run --rm slipway predict torchserve --from-test-set 0")[2:]
    words[words.index("torchserve")] = path
    said = stack.compose("run", "-T", *words[1:])
    assert re.fullmatch(r"test row 0: 7 \d+\.\d+%  \(truth: 7\)", said.strip())


def test_loadtest_from_inside_and_its_report(stack: Any) -> None:
    words = ["run", "-T", *documented("docker compose run --rm slipway loadtest")[3:]]
    words += ["--duration", "2", "--scenario", "offline", "--json"]
    done = stack.compose.run(*words, timeout_s=200)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert done.stderr.splitlines()[-1] == "report: reports/mnist_cnn/latest/report.html"  # as the host knows it
    measured = {row["protocol"]: row for row in report["rows"] if row["status"] != "skipped"}
    assert set(measured) == set(PROTOCOLS)
    assert {row["status"] for row in measured.values()} == {"ok"}
    assert all(row["scenarios"][0]["match_share"] == 1 for row in measured.values())
    latest = stack.compose.folder / "reports" / "mnist_cnn" / "latest"
    assert json.loads((latest / "report.json").read_text()) == report
    assert (latest / "report.html").stat().st_uid == (stack.compose.folder / "reports").stat().st_uid


def test_the_last_word_is_where_the_servers_are_and_what_to_do(stack: Any) -> None:
    said = stack.compose("logs", "--no-log-prefix", "ready")
    for protocol in ("tf-serving-rest", "tf-serving-grpc", "torchserve-rest", "torchserve-grpc"):
        assert stack.target(protocol).url in said
    assert said.rstrip().endswith("docker compose run --rm slipway predict torchserve --from-test-set 0")
    # After the servers' own words: it waits until they are healthy.
    last = {name: stack.compose("logs", "--timestamps", "--no-log-prefix", name).split("Z ")[0] for name in SERVERS}
    ready = stack.compose("logs", "--timestamps", "--no-log-prefix", "ready").split("Z ")[0]
    assert all(first < ready for first in last.values() if first)


def test_the_last_line_is_the_address_of_the_page_which_asks_all_servers(stack: Any) -> None:
    said = stack.compose("logs", "--no-log-prefix", "web").strip()
    address = said.splitlines()[-1].rpartition(" ")[2]
    assert address.startswith(f"http://127.0.0.1:{stack.compose.env['WEB_PORT']}/?token=")
    ready, page = (
        stack.compose("logs", "--timestamps", "--no-log-prefix", name).strip().splitlines()[-1].split("Z ")[0]
        for name in ("ready", "web")
    )
    assert ready < page
    visitor = Visitor(address)
    found = visitor.ask({"row": 0})
    assert sorted((one["protocol"], one["labels"][0]["label"]) for one in found["answer"]) == [
        (name, "7") for name in sorted(PROTOCOLS)
    ]
    assert {answer["verdict"] for answer in found["answer"]} == {"within"}
    links = json.loads(visitor.get("/about")[2])["links"]
    assert links["prometheus"] == f"http://127.0.0.1:{stack.compose.env['PROMETHEUS_PORT']}"
    server = next(answer["server"] for answer in found["answer"] if answer["protocol"] == "torchserve-rest")

    def replicas() -> int:
        _, cards = next(visitor.events())
        return next(len(card["replicas"]) for card in cards if card["name"] == server)

    wait_for(lambda: replicas() == 2)
    query = urllib.parse.urlencode({"server": server, "protocol": "torchserve-rest"})
    call = visitor.post(f"/call?{query}", b'{"row": 0}')[2].decode()
    assert "$(docker compose exec torchserve python -m serving.torchserve token)" in call
    assert stack.key not in call + json.dumps(found)
    query = urllib.parse.urlencode({"server": "tf-serving:fp32", "protocol": "tf-serving-rest"})
    command = json.loads(visitor.post(f"/call?{query}", b'{"row": 0}')[2])["curl"]
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    (scores,) = json.loads(done.stdout)["outputs"]
    assert scores.index(max(scores)) == 7


def test_a_machine_without_a_gpu_is_no_error(stack: Any) -> None:
    logs = stack.compose("logs", "--no-log-prefix").lower()
    assert "train mnist_cnn" in logs
    assert "cuinit" not in logs
    assert "nvidia-smi" not in logs


def test_whoever_starts_the_engine_gets_all_servers_back(stack: Any) -> None:
    for service in SERVERS:
        assert stack.compose.container(service)["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_another_profile_takes_no_replica_away(stack: Any) -> None:
    before = [stack.compose.container("torchserve", index)["Id"] for index in (1, 2)]
    stack.compose("--profile", "load", "create", "--no-build")
    assert [stack.compose.container("torchserve", index)["Id"] for index in (1, 2)] == before


def served(stack: Any, index: int) -> float:
    """Return how many predictions a replica of TorchServe has answered."""
    page = "python -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:8082/metrics').read().decode())\""
    lines = stack.compose.inside("torchserve", page, index=index).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("ts_inference_requests_total{"))


def test_grpc_is_shared_out_by_request_and_not_by_connection(stack: Any) -> None:
    codec, target = client("torchserve-grpc"), stack.target("torchserve-grpc")
    call, body = codec.call(target), codec.encode(target, stack.answers("torchserve-grpc").inputs(1)[0])
    before = [served(stack, index) for index in (1, 2)]
    with grpc.insecure_channel(target.url.removeprefix("grpc://")) as channel:
        method = channel.unary_unary(call.path)
        for _ in range(40):
            method(body, timeout=30, metadata=tuple(call.headers.items()))
    shares = [served(stack, index) - was for index, was in zip((1, 2), before, strict=True)]
    assert sum(shares) == 40
    assert min(shares) >= 8


def test_a_killed_replica_costs_no_request_and_comes_back(stack: Any) -> None:
    compose = stack.compose
    for victim in (1, 2):
        assert until(lambda index=3 - victim: compose.health("torchserve", index) == "healthy")  # type: ignore[misc]
        starts = compose.container("torchserve", victim)["RestartCount"]
        with under_load(stack, "torchserve-rest", "torchserve-grpc") as seen:
            assert until(lambda seen=seen: seen["right"] > 50)  # type: ignore[misc]
            compose.run("exec", "-T", "--index", str(victim), "torchserve", "sh", "-c", KILL)
            was = seen["right"]
            assert until(lambda: compose.container("torchserve", victim)["RestartCount"] > starts)  # noqa: B023
            assert until(lambda: compose.health("torchserve", victim) == "healthy")  # noqa: B023
            assert until(lambda: seen["right"] > was + 50)  # noqa: B023
        assert set(seen) == {"right"}, seen


def test_a_dead_worker_costs_no_request_and_stalls_nobody(stack: Any) -> None:
    """Requests that wait for the worker go to the other replica, and not to the worker that TorchServe starts anew."""

    def ready() -> bool:
        return stack.compose.run("exec", "-T", "torchserve", "sh", "-c", READY).returncode == 0

    assert until(ready)
    with under_load(stack, "torchserve-rest", "torchserve-grpc") as seen:
        assert until(lambda: seen["right"] > 50)
        seen.slowest_s = 0.0
        killed = time.monotonic()
        stack.compose.inside("torchserve", KILL_WORKER)
        assert until(ready)
        back_s = time.monotonic() - killed
        was = seen["right"]
        assert until(lambda: seen["right"] > was + 50)
    assert set(seen) == {"right"}, seen
    print(f"longest request {seen.slowest_s:.2f} s, of {back_s:.1f} s without a worker")
    assert seen.slowest_s < back_s / 2, f"a request waited {seen.slowest_s:.1f} s, of {back_s:.1f} s without a worker"


@pytest.mark.parametrize("service", ["tf-serving", "open-inference"])
def test_a_killed_server_comes_back(stack: Any, service: str) -> None:
    starts = stack.compose.container(service)["RestartCount"]
    stack.compose.run("exec", "-T", service, "sh", "-c", KILL)
    assert until(lambda: stack.compose.container(service)["RestartCount"] == starts + 1)
    assert until(lambda: stack.compose.health(service) == "healthy")
    protocol = f"{service}-grpc"
    answers = stack.answers(protocol)
    assert answers.matches(1, 0, stack.ask(protocol, answers.inputs(1)[0]))


def test_prometheus_sees_all_servers_and_their_percentiles(stack: Any) -> None:
    base = f"http://127.0.0.1:{stack.compose.env['PROMETHEUS_PORT']}/api/v1"

    def ask(query: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{base}/query?{urllib.parse.urlencode({'query': query})}", timeout=10) as answer:
            return list(json.load(answer)["data"]["result"])

    with under_load(stack, *PROTOCOLS):
        jobs = {"tf-serving": 1, "torchserve": 2, "gateway": 1, "open-inference": 1, "prometheus": 1}
        up = "sum by (job) (up)"
        assert until(lambda: {row["metric"]["job"]: float(row["value"][1]) for row in ask(up)} == jobs), ask(up)
        for name in ("slipway:latency_seconds:p50", "slipway:latency_seconds:p99"):
            some = f"{name} > 0 < 5"
            assert until(lambda some=some: len(ask(some)) == 3), ask(name)  # type: ignore[misc]
    # Every query of the dashboard is answered.
    dashboard = json.loads((stack.compose.folder / "serving/prometheus/grafana/dashboard.json").read_text())
    for query in [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]:
        assert ask(query), query


def test_a_change_of_the_code_keeps_the_libraries(stack: Any) -> None:
    """So it takes seconds: what takes long is there already."""
    handler = stack.compose.folder / "serving" / "torchserve" / "handler.py"
    handler.write_text(f"{handler.read_text()}\n# changed by {stack.compose.project}\n")
    shown = stack.compose("--progress", "plain", "build", "torchserve", timeout_s=200)
    (libraries,) = set(re.findall(r"^(#\d+) \[.*\] RUN .*pip install", shown, re.MULTILINE))
    (code,) = set(re.findall(r"^(#\d+) \[.*\] COPY serving/torchserve ", shown, re.MULTILINE))
    assert f"\n{libraries} CACHED\n" in shown
    assert f"\n{code} CACHED\n" not in shown


def test_sigterm_is_enough(stack: Any) -> None:
    """The last of this file: it stops the servers."""
    stack.compose("stop", "tf-serving", "torchserve", "gateway", "open-inference", timeout_s=100)
    codes = {name: stack.compose.container(name)["State"]["ExitCode"] for name in SERVERS if name != "prometheus"}
    assert codes == {"tf-serving": 0, "torchserve": 143, "gateway": 0, "open-inference": 0}

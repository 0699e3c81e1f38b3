"""Servers that the page changes: killed, added, replaced; only where --allow-control allows it."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from patience import wait_for
from web_client import Visitor

from pipelines.artifacts.store import file_sha256
from pipelines.base.files import link

NAME = "onnxruntime:pytorch"


def act(visitor: Visitor, action: str, server: str = NAME) -> tuple[int, dict[str, Any]]:
    status, _, body = visitor.post("/control", json.dumps({"action": action, "server": server}).encode())
    return status, json.loads(body)


def test_nothing_is_changed_without_the_switch(visitor: Visitor) -> None:
    for action in ("kill", "replica", "rollout"):
        status, answer = act(visitor, action)
        assert status == 400
        assert "--allow-control" in answer["error"]
    assert json.loads(visitor.get("/about")[2])["control"] is False
    assert all(answer["status"] == "ok" for answer in visitor.ask({"row": 0})["answer"])


def until(visitor: Visitor, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The servers by name, as soon as the condition holds of them."""
    for name, data in visitor.events():
        if name == "servers" and holds(servers := {server["name"]: server for server in data}):
            return servers
    raise AssertionError("the events ended")


@pytest.fixture
def other_artifact(cli: Any, trained: Any) -> Iterator[Callable[[], str]]:
    """Puts another artifact in the place of the one that is packaged; returns the beginning of its hash."""
    cli.json("package", "mnist_cnn", NAME)
    place = cli.workspace / "artifacts" / "mnist_cnn" / "onnxruntime" / "pytorch"
    before = place.resolve()
    other = before.with_name("another")

    def put() -> str:
        shutil.copytree(before, other)
        manifest, sums = other / "manifest.json", other / "SHA256SUMS"
        known = json.loads(manifest.read_text())["artifact_sha256"]
        lines = sums.read_text().replace(file_sha256(manifest), "{changed}")
        manifest.write_text(manifest.read_text().replace(known, known[::-1]))
        sums.write_text(lines.format(changed=file_sha256(manifest)))
        link(place, other)
        return str(known[::-1][:12])

    yield put
    link(place, before)
    shutil.rmtree(other, ignore_errors=True)


def test_a_replica_is_added_a_server_is_killed_and_another_artifact_rolled_out(
    cli: Any, other_artifact: Callable[[], str], nothing_left: Any
) -> None:
    process = cli.start("web", "--serve", "onnxruntime", "--allow-control", "--json")
    try:
        visitor = Visitor(json.loads(process.stdout.readline())["address"])
        assert act(visitor, "rollout")[1]["error"].startswith(f"{NAME} serves what is packaged")
        assert act(visitor, "other")[0] == act(visitor, "kill", "other")[0] == 400
        assert act(visitor, "replica") == (200, {"done": f"{NAME} #2 was added"})
        until(visitor, lambda servers: [one["state"] for one in servers.values()] == ["ready", "ready"])
        assert act(visitor, "kill") == (200, {"done": f"{NAME} was killed"})
        until(visitor, lambda servers: [one["state"] for one in servers.values()] == ["dead", "ready"])
        assert act(visitor, "kill")[1] == {"error": f"{NAME} does not run"}
        artifact = other_artifact()
        assert act(visitor, "rollout") == (200, {"done": f"{NAME} serves {artifact}"})
        servers = until(visitor, lambda servers: servers[NAME]["state"] == "ready")
        assert servers[NAME]["artifact"] == artifact
        answers = visitor.ask({"row": 0})["answer"]
        assert [answer["status"] for answer in answers] == ["ok"] * 6
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    wait_for(lambda: nothing_left() == [])

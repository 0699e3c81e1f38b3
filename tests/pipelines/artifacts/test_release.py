"""Numbered releases of an artifact, and the pin that servers follow."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from patience import until

from pipelines.artifacts.release import KEPT, release, releases, served_artifact
from pipelines.artifacts.unlinked import builds
from pipelines.artifacts.workspace import Workspace
from serving.container.releases import PIN, CannotSwitch, Follower, NoRelease, is_held, pin, pinned


def payload(folder: Path, content: str) -> Path:
    """Return TF Serving's payload, which has a numbered folder."""
    (folder / "payload" / "1").mkdir(parents=True, exist_ok=True)
    (folder / "payload" / "1" / "saved_model.pb").write_text(content)
    return folder / "payload"


def made(folder: Path, *contents: str) -> Path:
    """Return a folder with a release of each content, the first one pinned."""
    base = folder / "mnist_cnn" / "torchserve" / "releases" / "export"
    for content in contents:
        release(payload(folder / "artifact", content), base, "mnist_cnn")
    return base


def test_only_a_change_is_a_new_release(tmp_path: Path) -> None:
    base = tmp_path / "base"
    numbers = [release(payload(tmp_path, content), base, "m") for content in ("a", "a", "b", "b", "a")]
    assert numbers == [1, 1, 2, 2, 3]
    assert [(place.name, (place / "saved_model.pb").read_text()) for place in releases(base)] == [
        ("1", "a"),
        ("2", "b"),
        ("3", "a"),
    ]
    assert {(base / f"{number}.artifact").resolve() for number in numbers} == {tmp_path}


def test_the_first_is_pinned_and_no_other(tmp_path: Path) -> None:
    base = made(tmp_path, "a", "b", "c")
    assert pinned(base) == 1
    pin(base, "mnist_cnn", 3)
    assert pinned(base) == 3


def test_the_newest_are_kept_and_what_is_pinned_or_served(tmp_path: Path) -> None:
    base = made(tmp_path, "1", "2")
    pin(base, "mnist_cnn", 2)
    served = Follower(base)
    pin(base, "mnist_cnn", 1)
    made(tmp_path, *map(str, range(3, 12)))
    assert [place.name for place in releases(base)] == ["1", "2", "9", "10", "11"]
    assert len(releases(base)) == KEPT + 2
    assert sorted(base.glob("*.artifact")) == sorted(place.with_suffix(".artifact") for place in releases(base))
    assert served.number == 2


def test_a_damaged_release_is_replaced_by_the_next(tmp_path: Path) -> None:
    base = made(tmp_path, "a")
    (base / "1" / "saved_model.pb").write_text("damaged")
    assert release(tmp_path / "artifact" / "payload", base, "mnist_cnn") == 2


def test_a_pin_is_tf_servings_own_configuration(tmp_path: Path) -> None:
    from serving.tf_serving.settings.models import read_config

    base = made(tmp_path, "a", "b")
    (model,) = read_config(str(base / PIN)) or ()
    assert (model.name, model.base_path, model.policy.specific) == ("mnist_cnn", base, frozenset({1}))


@pytest.mark.parametrize(("text", "says"), [(None, "no release is pinned"), ("garbage", "expected a line")])
def test_without_a_pin_there_is_nothing_to_serve(tmp_path: Path, text: str | None, says: str) -> None:
    base = made(tmp_path, "a")
    (base / PIN).unlink()
    if text is not None:
        (base / PIN).write_text(text)
    with pytest.raises(NoRelease, match=says):
        Follower(base)


def test_replicas_change_one_after_the_other(tmp_path: Path) -> None:
    """While one changes, the other serves what it served; the second has its turn when the first is done."""
    base = made(tmp_path, "a", "b")
    replicas = Follower(base), Follower(base)
    changing, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def switch(number: int, folder: Path) -> None:
        assert (number, folder) == (2, base / "2")
        changing.release()
        go_on.acquire()

    for replica in replicas:
        replica.follow(switch)
    pin(base, "mnist_cnn", 2)
    assert changing.acquire(timeout=20)
    assert not changing.acquire(timeout=2)  # the other one waits for its turn
    assert [replica.number for replica in replicas] == [1, 1]
    go_on.release()
    assert changing.acquire(timeout=20)
    assert sorted(replica.number for replica in replicas) == [1, 2]
    assert is_held(base / "1")
    go_on.release()
    assert until(lambda: [replica.number for replica in replicas] == [2, 2])
    assert until(lambda: not is_held(base / "1"))
    assert is_held(base / "2")


def test_what_cannot_be_served_is_tried_once_and_again_when_it_is_pinned_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = made(tmp_path, "a", "b", "c")
    replica = Follower(base)
    tried: list[int] = []

    def switch(number: int, _folder: Path) -> None:
        tried.append(number)
        if number == 2:
            raise CannotSwitch("it is broken")

    replica.follow(switch)
    pin(base, "mnist_cnn", 2)
    assert until(lambda: "still serving release 1: it is broken" in capfd.readouterr().err)
    assert not is_held(base / "2")
    pin(base, "mnist_cnn", 3)
    assert until(lambda: replica.number == 3)
    assert tried == [2, 3]
    pin(base, "mnist_cnn", 2)
    assert until(lambda: tried == [2, 3, 2])
    assert replica.number == 3


@pytest.fixture
def workspace(cli: Any, trained: Any) -> Iterator[Workspace]:
    """The session's workspace; afterwards, its commands are about what is packaged again."""
    found = Workspace(cli.workspace)
    yield found
    for base in found.artifacts.glob("*/*/releases"):
        shutil.rmtree(base)


def test_package_releases_and_rollout_pins(cli: Any, workspace: Workspace) -> None:
    words = ("package", "mnist_cnn", "tf-serving:fp32", "onnxruntime:pytorch", "--release")
    for _ in range(2):
        assert cli.json(*words)["released"] == {"tf-serving:fp32": 1, "onnxruntime:pytorch": 1}
    assert (workspace.releases("mnist_cnn", "tf-serving", "fp32") / "1" / "saved_model.pb").exists()
    base = workspace.releases("mnist_cnn", "onnxruntime", "pytorch")
    assert (base / "1" / "mnist_cnn" / "model.onnx").exists()
    folder = workspace.artifact("mnist_cnn", "onnxruntime", "pytorch")
    target = folder.readlink()
    folder.unlink()  # as after a build of something else
    assert [build.linked for build in builds(workspace) if build.key == target.name] == [True]
    served = served_artifact(workspace, "mnist_cnn", "onnxruntime", "pytorch")  # what its answers are compared with
    assert served.resolve() == workspace.store / target.name
    folder.symlink_to(target)
    (base / "2").mkdir()
    rolled = [{"name": "onnxruntime:pytorch", "release": 2, "before": 1}]
    assert cli.json("rollout", "onnxruntime") == rolled
    assert pinned(base) == 2


def test_rollout_pins_the_release_before_where_a_server_does_not_change(cli: Any, workspace: Workspace) -> None:
    base = workspace.releases("mnist_cnn", "litert", "fp32")
    for number in (1, 2):
        (base / str(number)).mkdir(parents=True)
    pin(base, "mnist_cnn", 1)
    served = Follower(base)
    done = cli("rollout", "litert", "--wait", "1")
    assert done.returncode == 1
    assert "still serves release 1 after 1 s, its log says why: release 1 is pinned again" in done.stderr
    assert pinned(base) == served.number == 1
    done = cli("rollout", "litert", "--to", "3")
    assert done.returncode == 2
    assert "the releases of litert:fp32 are 1, 2. Received: --to 3" in done.stderr
    done = cli("rollout", "tf-serving:xla")
    assert done.returncode == 2
    assert "there are no releases. Make one: slipway package mnist_cnn tf-serving:xla --release" in done.stderr


def test_rollout_mends_a_damaged_pin(cli: Any, workspace: Workspace) -> None:
    base = workspace.releases("mnist_cnn", "litert", "fp16")
    (base / "1").mkdir(parents=True)
    (base / PIN).write_text("garbage")
    done = cli("rollout", "litert")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "litert:fp16  release 1, before it none\n"
    assert "change servers of litert:fp16 to release 1 ..." in done.stderr
    assert pinned(base) == 1


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"])
def test_rollout_refuses_an_address_that_is_no_tf_serving(cli: Any, workspace: Workspace, answer: bytes) -> None:
    base = workspace.releases("mnist_cnn", "tf-serving", "fp32")
    for number in (1, 2):
        (base / str(number)).mkdir(parents=True)
    pin(base, "mnist_cnn", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def respond() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        threading.Thread(target=respond, daemon=True).start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        done = cli("rollout", "tf-serving", "--at", f"tf-serving=http://{address}")
    assert done.returncode == 2, done.stderr
    assert f"http://{address} does not answer like TensorFlow Serving" in done.stderr
    assert "Traceback" not in done.stderr
    assert pinned(base) == 1
